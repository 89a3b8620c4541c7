package domain

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a sale. They keep an order within the slots of its id (see ledger.Slot) and
// every total within an int64.
const (
	ClassesMax    = 12          // line items of one order: one per class
	CapacityMax   = 100_000_000 // tickets of one class
	PriceMinorMax = 100_000_000 // minor units of one ticket
	BuyerLimitMax = 100         // tickets of one buyer in one sale

	BuyersKeptDaysMax = 3650

	HoldTimeoutMin = 5 * time.Second
	HoldTimeoutMax = 24 * time.Hour

	ProcessingExtensionMin = 5 * time.Second
	ProcessingExtensionMax = 30 * 24 * time.Hour

	SaleNameMaxLen  = 200 // bytes
	ClassNameMaxLen = 32  // bytes
	PerkNameMaxLen  = 64  // bytes

	opensYearMin, opensYearMax = 1970, 9999 // RFC 3339 ends there, in UTC too
)

// A Sale is everything sold under one name: ticket classes, an optional perk, and the
// rules. Once opened it changes only in what the ledger does not fix, see Editable, and in
// the capacity of its classes. It may be ended early, opened again and canceled. The
// ledger's accounts were funded from it, and workflows carry a copy of what they need.
type Sale struct {
	ID       string // slug, see ValidSaleID
	Name     string
	Currency string // ISO 4217, upper case
	Classes  []Class
	Perk     *Perk // nil: none

	// Facts are what people should know of what is sold.
	Facts Facts
	Image SaleImage // zero: none; it comes after the sale
	// Version counts what the sale said, from 1: every change makes another. 0 until the sale is stored.
	Version int64

	// QuotaLedger is the TigerBeetle ledger that holds every buyer's quota.
	QuotaLedger uint32
	// BuyerLimit is how many tickets one buyer may hold or own, 1…BuyerLimitMax.
	BuyerLimit int64

	// OneCheckoutPerBuyer: a buyer has at most one checkout that waits for its payment.
	// CheckoutLedger is the TigerBeetle ledger that counts them. It is 0 if the sale does
	// not limit them, and until the sale is stored.
	OneCheckoutPerBuyer bool
	CheckoutLedger      uint32

	// CodeLedger is the TigerBeetle ledger of the codes for hidden classes. It is 0 if the sale
	// has no hidden class, and until the sale is stored.
	CodeLedger uint32

	// BuyersKeptDays is for how many days after the sale's end the data of its buyers are kept. 0:
	// until they are erased on request. See orders.Store.DueBuyers for what the end is.
	BuyersKeptDays int64

	// AliasRule says which addresses are one buyer.
	AliasRule AliasRule

	// Entitlement says what a buyer must show for a place in the queue.
	Entitlement EntitlementRule

	// Provider takes the sale's money. It never changes: payments and refunds of a sale
	// stay where they were made.
	Provider string

	// Capture says when the money is taken; empty: CaptureAutomatic. It never changes.
	Capture CaptureRule

	// Cell is where the sale's workflows run: the name of a Temporal namespace, see package
	// cells. Empty: the default cell. It is chosen when the sale is created and never changes.
	Cell string

	OpensAt     time.Time // zero: open since it was created
	ClosesAt    time.Time // from then on nothing new is held; zero: it does not close
	HoldTimeout time.Duration
	// ProcessingExtension is how much longer than HoldTimeout the seats are kept while a
	// payment is being processed, such as a bank debit or a voucher. 0: only methods are
	// offered whose payment is decided at once. It never changes. See ExtensionAt.
	ProcessingExtension time.Duration

	WaitingRoom bool
	CreatedAt   time.Time
	// EndedAt is when the organiser ended the sale early: nothing new is held, and what is under
	// way goes on. Zero: not ended, or opened again since.
	EndedAt time.Time
	// CanceledAt is when the organiser canceled the sale; zero: not canceled.
	CanceledAt time.Time
}

// A Class is a stock of interchangeable tickets at one price.
type Class struct {
	Name       string // its id in orders and the books
	Label      string // what people call it; empty: its id
	PriceMinor int64  // minor units of the sale's currency
	Capacity   int64
	Ledger     uint32 // the TigerBeetle ledger of this stock; 0 until the sale is stored
	// OpenedWith is the capacity that the sale was created with, which the ledger's accounts
	// name. 0: the capacity was never changed.
	OpenedWith int64

	OpensAt     time.Time // the class is sold from then on; zero: as long as the sale is open
	ClosesAt    time.Time // and until then; zero: as long as the sale is open
	MaxPerOrder int64     // tickets of this class in one order; 0: as many as the buyer may have

	// Hidden: only a buyer with a code sees the class, and only with one is it sold.
	Hidden bool
}

// A Perk goes to the first Capacity paid orders of a sale. Nobody holds it before they
// pay.
type Perk struct {
	Name     string
	Capacity int64
	Ledger   uint32
}

// Class finds a class by name.
func (s *Sale) Class(name string) (Class, bool) {
	for _, c := range s.Classes {
		if c.Name == name {
			return c, true
		}
	}
	return Class{}, false
}

// HasOpened reports whether tickets may be sold at the given time.
func (s *Sale) HasOpened(now time.Time) bool { return !now.Before(s.OpensAt) }

// Canceled reports whether the organiser has canceled the sale.
func (s *Sale) Canceled() bool { return !s.CanceledAt.IsZero() }

// Ended reports whether the organiser has ended the sale early.
func (s *Sale) Ended() bool { return !s.EndedAt.IsZero() }

// WhyClosed says why the sale takes no orders at the given time: CodeSaleCanceled,
// CodeSaleClosed or CodeNotOpen. Empty: it takes orders, of the classes that are sold then.
func (s *Sale) WhyClosed(now time.Time) Code {
	switch {
	case s.Canceled():
		return CodeSaleCanceled
	case s.Ended(), hasPassed(s.ClosesAt, now):
		return CodeSaleClosed
	case !s.HasOpened(now):
		return CodeNotOpen
	default:
		return ""
	}
}

// WhyClosed says why the class is not sold at the given time, however the sale stands:
// CodeClassClosed or CodeClassNotOpen. Empty: it is sold.
func (c *Class) WhyClosed(now time.Time) Code {
	switch {
	case hasPassed(c.ClosesAt, now):
		return CodeClassClosed
	case now.Before(c.OpensAt):
		return CodeClassNotOpen
	default:
		return ""
	}
}

// hasPassed reports whether a moment has come; a zero one never does.
func hasPassed(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

var (
	saleIDPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	classNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
	currencyPattern  = regexp.MustCompile(`^[A-Z]{3}$`)
)

// ValidCurrency reports whether c has the form of an ISO 4217 code. Events and stored
// orders need no more than that; a new sale needs a KnownCurrency.
func ValidCurrency(c string) bool { return currencyPattern.MatchString(c) }

// ValidSaleID reports whether id can name a sale in a URL: 1–63 lower-case letters,
// digits and hyphens.
func ValidSaleID(id string) bool { return saleIDPattern.MatchString(id) }

// Validate checks a sale before it is created. The error is an *Error with CodeInvalid
// that names the field.
func (s *Sale) Validate() error {
	switch {
	case !ValidSaleID(s.ID):
		return Invalid("id", "must be 1–63 lower-case letters, digits or hyphens")
	case !KnownCurrency(s.Currency):
		return Invalid("currency", "must be an ISO 4217 code such as EUR")
	case len(s.Classes) == 0 || len(s.Classes) > ClassesMax:
		return Invalid("classes", fmt.Sprintf("must name 1–%d classes", ClassesMax))
	case s.HoldTimeout < HoldTimeoutMin || s.HoldTimeout > HoldTimeoutMax:
		return Invalid("hold_seconds", fmt.Sprintf("must be %d–%d", int(HoldTimeoutMin.Seconds()), int(HoldTimeoutMax.Seconds())))
	case s.Provider != "" && !ValidProvider(s.Provider):
		return Invalid("provider", "must be a payment provider's name")
	case s.Capture != "" && s.Capture.Check() != nil:
		return Invalid("capture", "must be automatic or after_seats")
	case s.ProcessingExtension != 0:
		if err := s.validateProcessing(); err != nil {
			return err
		}
	}
	switch {
	case s.HoldTimeout%time.Second != 0:
		return Invalid("hold_seconds", "must be whole seconds")
	case s.BuyerLimit < 1 || s.BuyerLimit > BuyerLimitMax:
		return Invalid("buyer_limit", fmt.Sprintf("must be 1–%d", BuyerLimitMax))
	case s.AliasRule != AliasesApart && s.AliasRule != AliasesFolded:
		return Invalid("fold_email_aliases", "must be a rule of this release")
	}
	if err := s.Entitlement.validate(s.WaitingRoom); err != nil {
		return err
	}
	if err := s.ValidateEditable(); err != nil {
		return err
	}
	if err := validateClasses(s.Classes); err != nil {
		return err
	}
	return validatePerk(s.Perk)
}

func (s *Sale) validateProcessing() error {
	const field = "processing_seconds"
	switch {
	case s.ProcessingExtension < ProcessingExtensionMin || s.ProcessingExtension > ProcessingExtensionMax || s.ProcessingExtension%time.Second != 0:
		return Invalid(field, fmt.Sprintf("must be %d–%d, or absent", int64(ProcessingExtensionMin.Seconds()), int64(ProcessingExtensionMax.Seconds())))
	case s.Capture == CaptureAfterSeats:
		return Invalid(field, "cannot be combined with capture after_seats: a payment that is processed for days cannot be authorised first")
	case s.ExtensionAt(latest(s.CreatedAt, s.OpensAt)) == 0:
		return Invalid(field, "is too long: with hold_seconds it must end before the event starts, or there is no order in which it could be used")
	default:
		return nil
	}
}

// ExtensionAt is the ProcessingExtension of an order that is placed at the given time: all
// of it, or none if the event would start before its end. Then only methods are offered
// whose payment is decided at once, so that no seat stays empty for money that never comes.
func (s *Sale) ExtensionAt(now time.Time) time.Duration {
	if starts := s.Facts.StartsAt; !starts.IsZero() && now.Add(s.HoldTimeout+s.ProcessingExtension).After(starts) {
		return 0
	}
	return s.ProcessingExtension
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// isTitle reports whether people can read s as one line: UTF-8, no control characters
// (databases refuse NUL), no line breaks.
func isTitle(s string, bytesMax int) bool {
	const lineSeparator, paragraphSeparator = '\u2028', '\u2029'
	return strings.TrimSpace(s) != "" && len(s) <= bytesMax && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == lineSeparator || r == paragraphSeparator
	})
}

// CheckTitle refuses text that people cannot read as one line or that databases refuse.
// The error is an *Error with CodeInvalid that names the field.
func CheckTitle(field, s string, bytesMax int) error {
	if !isTitle(s, bytesMax) {
		return Invalid(field, titleRule(bytesMax))
	}
	return nil
}

func titleRule(bytesMax int) string {
	return fmt.Sprintf("must have 1–%d bytes of text in one line, without control characters", bytesMax)
}

// validateWindow checks when something is sold. Prefix goes before the fields' names.
func validateWindow(prefix string, opensAt, closesAt time.Time) error {
	for _, at := range []struct {
		field string
		time  time.Time
	}{{"opens_at", opensAt}, {"closes_at", closesAt}} {
		if !at.time.IsZero() && !isShownTime(at.time) {
			return Invalid(prefix+at.field, shownTimeRule)
		}
	}
	if !closesAt.IsZero() && !closesAt.After(opensAt) {
		return Invalid(prefix+"closes_at", "must be after opens_at")
	}
	return nil
}

func validateClasses(classes []Class) error {
	seen := make(map[string]bool, len(classes))
	for i, c := range classes {
		field := fmt.Sprintf("classes[%d]", i)
		switch {
		case !classNamePattern.MatchString(c.Name):
			return Invalid(field+".class", "must be 1–32 letters, digits, hyphens or underscores")
		case seen[c.Name]:
			return Invalid(field+".class", "is named twice")
		case c.PriceMinor < 0 || c.PriceMinor > PriceMinorMax:
			return Invalid(field+".price", fmt.Sprintf("must be 0–%d minor units", PriceMinorMax))
		case c.Capacity < 1 || c.Capacity > CapacityMax:
			return Invalid(field+".capacity", fmt.Sprintf("must be 1–%d", CapacityMax))
		}
		seen[c.Name] = true
	}
	return nil
}

func validatePerk(p *Perk) error {
	switch {
	case p == nil:
		return nil
	case !isTitle(p.Name, PerkNameMaxLen):
		return Invalid("perk.name", titleRule(PerkNameMaxLen))
	case p.Capacity < 1 || p.Capacity > CapacityMax:
		return Invalid("perk.capacity", fmt.Sprintf("must be 1–%d", CapacityMax))
	}
	return nil
}

// A StockLevel is what the ledger says about one stock of a sale at one moment. Available
// is never negative: the ledger forbids it.
type StockLevel struct {
	Name      string // class or perk name
	Ledger    uint32
	Capacity  int64 // what was ever put in, also what was taken out since
	Held      int64 // budget.debits_pending
	Sold      int64 // spent.credits_posted − spent.debits_posted
	Available int64 // Capacity − Held − Sold − what was taken out
}

// LevelOf finds the level of the class or perk that has a ledger.
func LevelOf(levels []StockLevel, ledger uint32) (StockLevel, bool) {
	for _, level := range levels {
		if level.Ledger == ledger {
			return level, true
		}
	}
	return StockLevel{}, false
}
