package domain

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Item is what a buyer asks for: a number of tickets of a class.
type Item struct {
	Class    string `json:"class"`
	Quantity int64  `json:"quantity"`
}

// Line is an Item with what it costs and where its stock is booked.
type Line struct {
	Class          string `json:"class"`
	Ledger         uint32 `json:"ledger"`
	Quantity       int64  `json:"quantity"`
	UnitPriceMinor int64  `json:"unit_price_minor"`
}

// An Order is what one checkout is about. It is complete and never changes. The workflow
// carries it, so selling it takes only the ledger, and a failed checkout never touches
// the database.
type Order struct {
	ID       OrderID  `json:"id"`
	SaleID   string   `json:"sale"`
	SaleName string   `json:"sale_name"`
	Lines    []Line   `json:"lines"` // sorted by class; one line a class
	Buyer    BuyerID  `json:"buyer"`
	Email    string   `json:"email"`
	Perk     *PerkRef `json:"perk,omitempty"`

	QuotaLedger uint32 `json:"quota_ledger"`
	BuyerLimit  int64  `json:"buyer_limit"`

	// CheckoutLedger counts the buyers' open checkouts. 0: the sale does not limit them
	// (see Sale.OneCheckoutPerBuyer).
	CheckoutLedger uint32 `json:"checkout_ledger,omitempty"`

	AmountMinor int64         `json:"amount_minor"`
	Currency    string        `json:"currency"`
	HoldTimeout time.Duration `json:"hold_timeout"`

	// ProcessingExtension is how much longer the seats are kept while the payment is being
	// processed. 0: they are not, and only methods are offered that are decided at once.
	ProcessingExtension time.Duration `json:"processing_extension,omitempty"`

	Metadata Metadata `json:"metadata,omitempty"`

	// Code is used once by the order, because it has tickets of a hidden class. Nil: it has none.
	Code *ClassCodeRef `json:"code,omitempty"`

	// Fingerprint identifies the request body, so that we notice an Idempotency-Key that
	// comes again with another body (CodeKeyReused).
	Fingerprint string `json:"fingerprint"`

	// Provider takes the order's money, in Session if that is known from the start: see
	// PaymentSession. FreeProvider if the order costs nothing; empty in orders from before
	// they named their provider.
	Provider string `json:"provider,omitempty"`
	Session  string `json:"session,omitempty"`

	// Capture is CaptureAfterSeats, or empty: the money is taken when the buyer pays.
	Capture CaptureRule `json:"capture,omitempty"`

	// Cell is where the order's workflow is started, that of its sale. The workflow itself does
	// not need to know.
	Cell string `json:"-"`
}

// AuthorizesFirst reports whether the buyer's payment only authorises the money.
func (o *Order) AuthorizesFirst() bool { return o.Capture == CaptureAfterSeats }

// Extend sets how much longer the seats are kept for a payment that is being processed. It
// depends on when the order is placed, so it is no part of what makes two orders the same.
func (o *Order) Extend(sale *Sale, now time.Time) {
	if !o.IsFree() {
		o.ProcessingExtension = sale.ExtensionAt(now)
	}
}

// PerkRef names the perk of a sale and the ledger of its stock.
type PerkRef struct {
	Name   string `json:"name"`
	Ledger uint32 `json:"ledger"`
}

// Quantity is the number of tickets of the order, over all its lines.
func (o *Order) Quantity() int64 {
	var n int64
	for _, l := range o.Lines {
		n += l.Quantity
	}
	return n
}

// NewOrder prices what a buyer asks for. The same sale, key, items and e-mail make the
// same order on any node. The error is an *Error with CodeInvalid that names the field,
// or one with CodeLimitReached if the items alone exceed the limit of tickets per buyer.
func NewOrder(sale *Sale, keys *Keyring, idempotencyKey string, items []Item, email string) (Order, error) {
	return NewOrderWithCode(sale, keys, idempotencyKey, items, email, nil)
}

// NewOrderWithCode is NewOrder for a buyer who has a code for hidden classes, as the books have
// it. Nil: none.
func NewOrderWithCode(sale *Sale, keys *Keyring, idempotencyKey string, items []Item, email string, code *ClassCode) (Order, error) {
	o, err := sketchOrder(sale, keys, idempotencyKey, items, email, code)
	if err != nil {
		return Order{}, err
	}
	o.Fingerprint = keys.Fingerprint(&o)
	return o, nil
}

// SketchOrder is NewOrder without the fingerprint. It is enough to refuse an order, which
// is what happens to most.
func SketchOrder(sale *Sale, keys *Keyring, idempotencyKey string, items []Item, email string) (Order, error) {
	return sketchOrder(sale, keys, idempotencyKey, items, email, nil)
}

func sketchOrder(sale *Sale, keys *Keyring, idempotencyKey string, items []Item, email string, code *ClassCode) (Order, error) {
	address, err := NormalizeEmail(email)
	if err != nil {
		return Order{}, err
	}
	lines, err := priceLines(sale, items, code)
	if err != nil {
		return Order{}, err
	}
	o := Order{
		ID:          keys.OrderID(sale, idempotencyKey),
		SaleID:      sale.ID,
		SaleName:    sale.Name,
		Lines:       lines,
		Buyer:       keys.BuyerID(sale.ID, sale.AliasRule.Fold(address)),
		Email:       address,
		QuotaLedger: sale.QuotaLedger,
		BuyerLimit:  sale.BuyerLimit,
		Currency:    sale.Currency,
		HoldTimeout: sale.HoldTimeout,
		Provider:    sale.Provider,
		Cell:        sale.Cell,
	}
	if sale.OneCheckoutPerBuyer {
		o.CheckoutLedger = sale.CheckoutLedger
	}
	if code != nil {
		o.Code = &ClassCodeRef{ID: code.ID, Ledger: sale.CodeLedger}
	}
	for _, l := range lines {
		o.AmountMinor += l.Quantity * l.UnitPriceMinor
	}
	if o.AmountMinor == 0 {
		o.Provider = FreeProvider
	} else if sale.Capture == CaptureAfterSeats {
		o.Capture = CaptureAfterSeats
	}
	if sale.Perk != nil {
		o.Perk = &PerkRef{Name: sale.Perk.Name, Ledger: sale.Perk.Ledger}
	}
	if o.Quantity() > sale.BuyerLimit {
		return Order{}, &Error{Code: CodeLimitReached, Detail: fmt.Sprintf("A buyer may have at most %d tickets of this sale.", sale.BuyerLimit)}
	}
	return o, nil
}

// priceLines merges items of one class and sorts them, so that the same request written
// differently is the same order. A hidden class is none of the sale's for those who have no
// code for it.
func priceLines(sale *Sale, items []Item, code *ClassCode) ([]Line, error) {
	if len(items) == 0 {
		return nil, Invalid("items", "must name at least one class")
	}
	if len(items) > ClassesMax {
		return nil, Invalid("items", fmt.Sprintf("must have at most %d entries", ClassesMax))
	}
	quantities, isOpened := make(map[string]int64, len(items)), false
	for i, item := range items {
		class, ok := sale.Class(item.Class)
		if !ok || class.Hidden && !code.Opens(&class) {
			return nil, Invalid(fmt.Sprintf("items[%d].class", i), "is not a class of this sale")
		}
		if item.Quantity < 1 || item.Quantity > BuyerLimitMax {
			return nil, Invalid(fmt.Sprintf("items[%d].quantity", i), fmt.Sprintf("must be 1–%d", BuyerLimitMax))
		}
		quantities[item.Class] += item.Quantity
		isOpened = isOpened || class.Hidden
	}
	if code != nil && !isOpened {
		return nil, Invalid("code", "opens none of the classes that are ordered: leave it out, so that it stays good")
	}
	lines := make([]Line, 0, len(quantities))
	for _, c := range sale.Classes {
		if n := quantities[c.Name]; n > 0 {
			lines = append(lines, Line{Class: c.Name, Ledger: c.Ledger, Quantity: n, UnitPriceMinor: c.PriceMinor})
		}
	}
	slices.SortFunc(lines, func(a, b Line) int { return cmp.Compare(a.Class, b.Class) })
	return lines, nil
}
