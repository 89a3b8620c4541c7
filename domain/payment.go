package domain

import (
	"regexp"
	"time"
)

// PaymentEventType is what the provider says happened to a payment.
type PaymentEventType string

// The provider's events, named as in the webhook's body.
const (
	PaymentSucceeded PaymentEventType = "payment.succeeded"
	PaymentFailed    PaymentEventType = "payment.failed"
	PaymentCanceled  PaymentEventType = "payment.canceled"
	// PaymentDeclined ends an attempt, not the session: the buyer may try again in it.
	PaymentDeclined PaymentEventType = "payment.declined"
	// PaymentReversed is about a payment that was captured, and its checkout has ended:
	// see Reversal.
	PaymentReversed PaymentEventType = "payment.reversed"
	// PaymentAuthorized: the buyer has paid, and the money is not taken yet. See
	// CaptureAfterSeats.
	PaymentAuthorized PaymentEventType = "payment.authorized"
)

// DeclinesMax is how many declined attempts to pay an order may have. The last of them
// ends its checkout, and the seats go back: whoever tries one card after the other may
// not keep seats from those who can pay.
const DeclinesMax = 10

// Known reports whether t is one of the provider's events above.
func (t PaymentEventType) Known() bool {
	switch t {
	case PaymentSucceeded, PaymentFailed, PaymentCanceled, PaymentDeclined, PaymentReversed, PaymentAuthorized:
		return true
	default:
		return false
	}
}

// Paid reports whether the buyer has paid: the money was taken, or may be.
func (t PaymentEventType) Paid() bool { return t == PaymentSucceeded || t == PaymentAuthorized }

// CaptureRule says when the money of a sale is taken.
type CaptureRule string

// The rules.
const (
	// CaptureAutomatic: the moment the buyer pays. Money that comes too late goes back as
	// a refund.
	CaptureAutomatic CaptureRule = "automatic"
	// CaptureAfterSeats: the buyer's payment only authorises it. It is captured once the
	// seats are sold in the ledger, and the tickets are made after that. What comes too
	// late is released, and nothing was taken.
	CaptureAfterSeats CaptureRule = "after_seats"
)

// Check is for a rule that comes from outside. It returns an error for one that this
// release does not know.
func (r CaptureRule) Check() error {
	switch r {
	case CaptureAutomatic, CaptureAfterSeats:
		return nil
	default:
		return unknownValue("capture rule", string(r))
	}
}

// A PaymentEvent is one verified message of the payment provider. It is also
// the argument of the workflow's signal and update `payment`.
type PaymentEvent struct {
	ID          string           `json:"id"` // webhook-id: the same in every delivery
	Type        PaymentEventType `json:"type"`
	Session     string           `json:"session"`
	Order       OrderID          `json:"order"`
	Payment     string           `json:"payment"` // the session's id if the provider gives none
	AmountMinor int64            `json:"amount"`
	Currency    string           `json:"currency"`
	// Reversal is set in PaymentReversed, and in no other. Workflows never see one.
	Reversal Reversal `json:"reversal,omitzero"`
}

// Limits of the provider's ids of events and payments, in bytes. Both become part of
// workflow and update ids, hence the alphabets. The regular expressions repeat the
// limits.
const (
	EventIDMaxLen   = 128
	PaymentIDMaxLen = 128
	SessionIDMaxLen = 255
)

// An event id has no full stop. The full stop separates the signed parts of a webhook, so
// an id with one could be read in two ways (Standard Webhooks 1.0.0, "Signature scheme").
// The rule holds however an event comes in.
var (
	eventIDPattern   = regexp.MustCompile(`^[A-Za-z0-9_:=+-]{1,128}$`)
	paymentIDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)
	sessionIDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,254}$`)
)

// ValidEventID reports whether id can name an event: 1–EventIDMaxLen letters,
// digits or any of _:=+-.
func ValidEventID(id string) bool { return eventIDPattern.MatchString(id) }

// ValidPaymentID reports whether a provider's id can name a payment: 1–PaymentIDMaxLen
// letters, digits or any of ._:-, the first a letter or a digit. It has no slash, see
// QualifiedID.
func ValidPaymentID(id string) bool { return paymentIDPattern.MatchString(id) }

// ValidSessionID is ValidPaymentID for a session, whose id may have SessionIDMaxLen
// bytes.
func ValidSessionID(id string) bool { return sessionIDPattern.MatchString(id) }

// Normalized fills in what an event may leave out: the payment's id is then the
// session's, and the session is the order's.
func (e PaymentEvent) Normalized(session string) PaymentEvent {
	if e.Session == "" {
		e.Session = session
	}
	if e.Payment == "" {
		e.Payment = e.Session
	}
	return e
}

// Usable reports whether a normalised event can affect its checkout, whether it came by
// webhook, by signal or from the command line. A reversal is no business of a checkout.
func (e PaymentEvent) Usable() bool {
	provider, payment := SplitID(e.Payment)
	sessionProvider, session := SplitID(e.Session)
	return e.Type.Known() && e.Type != PaymentReversed && ValidEventID(e.ID) && ValidPaymentID(payment) && ValidSessionID(session) &&
		ValidProvider(provider) && provider == sessionProvider && e.AmountMinor >= 0 && ValidCurrency(e.Currency)
}

// A Capture is money that the provider took for an order, or, where it is Authorized,
// money that it may still take.
type Capture struct {
	Payment     string    `json:"payment"`
	Session     string    `json:"session"`
	Order       OrderID   `json:"order"`
	AmountMinor int64     `json:"amount"`
	Currency    string    `json:"currency"`
	CapturedAt  time.Time `json:"captured_at,omitzero"` // or when it was authorised
	// Authorized: nothing was taken yet. It is captured or released, never refunded, and no
	// ticket is recorded for it.
	Authorized bool `json:"authorized,omitempty"`
}

// Pays reports whether the capture is exactly what the order costs.
func (c Capture) Pays(o *Order) bool {
	return c.Order == o.ID && c.AmountMinor == o.AmountMinor && c.Currency == o.Currency
}

// Capture is the money that an event reports which says that the buyer has paid.
func (e PaymentEvent) Capture() Capture {
	return Capture{
		Payment: e.Payment, Session: e.Session, Order: e.Order, AmountMinor: e.AmountMinor, Currency: e.Currency,
		Authorized: e.Type == PaymentAuthorized,
	}
}

// Event is what a capture's webhook would have said.
func (c Capture) Event(id string) PaymentEvent {
	event := PaymentEvent{
		ID: id, Type: PaymentSucceeded, Session: c.Session, Order: c.Order, Payment: c.Payment,
		AmountMinor: c.AmountMinor, Currency: c.Currency,
	}
	if c.Authorized {
		event.Type = PaymentAuthorized
	}
	return event
}

// ExpireOutcome is the provider's atomic answer to "no more money for this session":
// either it was expired, or it had captured already, or the buyer's payment is authorised
// and somebody has to capture or to release it. Releases that do not know the last see
// neither.
type ExpireOutcome struct {
	Captured   bool `json:"captured"`
	Authorized bool `json:"authorized,omitempty"`
	// Processing: it is not decided yet, because a payment is being processed. Only
	// activities say so, to checkouts that can wait for it.
	Processing bool    `json:"processing,omitempty"`
	Capture    Capture `json:"capture,omitzero"` // set if Captured or Authorized
}

// Paid reports whether the buyer has paid.
func (o ExpireOutcome) Paid() bool { return o.Captured || o.Authorized }

// RefundReason says why a captured payment goes back.
type RefundReason string

// The reasons of a refund.
const (
	RefundNoneLeft      RefundReason = "none_left"      // paid after the hold was gone, and no seats were left
	RefundCanceled      RefundReason = "canceled"       // paid after the buyer canceled
	RefundUnknownOrder  RefundReason = "unknown_order"  // captured for an order that we do not know
	RefundWrongAmount   RefundReason = "wrong_amount"   // amount or currency differs from the order
	RefundSecondCapture RefundReason = "second_capture" // another payment had already paid the order
	RefundUnrecordable  RefundReason = "unrecordable"   // the orders database will never take this order: our fault
	RefundByOrganiser   RefundReason = "organiser"      // the organiser gave the money back
	RefundSaleCanceled  RefundReason = "sale_canceled"  // the organiser canceled the whole sale
)

// refundReasons says of each reason whether the refund takes tickets back. Otherwise it
// returns money that bought none.
var refundReasons = map[RefundReason]struct{ ofOrder bool }{
	RefundNoneLeft:      {},
	RefundCanceled:      {},
	RefundUnknownOrder:  {},
	RefundWrongAmount:   {},
	RefundSecondCapture: {},
	RefundUnrecordable:  {},
	RefundByOrganiser:   {ofOrder: true},
	RefundSaleCanceled:  {ofOrder: true},
}

// Check is for a reason that comes from outside. It returns an error for one that this
// release does not know.
func (r RefundReason) Check() error {
	if _, known := refundReasons[r]; !known {
		return unknownValue("refund reason", string(r))
	}
	return nil
}

// OfOrder reports whether a refund for this reason takes tickets back. Otherwise it
// returns money that bought none. A provider may have reasons of its own; those are not
// ours and take nothing back here. Call Check first if that matters to you.
func (r RefundReason) OfOrder() bool { return refundReasons[r].ofOrder }
