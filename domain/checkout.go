package domain

import "time"

// CheckoutState is what a checkout knows about itself: the answer to the workflow query
// `state`, and the workflow's result once it has ended. Fields are only ever added.
type CheckoutState struct {
	Order       OrderID     `json:"order"`
	SaleID      string      `json:"sale"`
	Status      OrderStatus `json:"status"`
	Hold        Hold        `json:"hold,omitzero"`
	Lines       []Line      `json:"lines"`
	AmountMinor int64       `json:"amount_minor"`
	Currency    string      `json:"currency"`
	Fingerprint string      `json:"fingerprint"`

	Metadata Metadata `json:"metadata,omitempty"` // of the order

	// Provider takes the money. Empty in states from before orders named their provider.
	Provider string `json:"provider,omitempty"`
	// Session is where the order is paid. It is known from the start, or once the buyer
	// first wants to pay; PayURL is then its page, and Attempt counts. Empty: not opened
	// yet.
	Session string `json:"session,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	PayURL  string `json:"pay_url,omitempty"`

	// Declines is how many attempts to pay were declined. See DeclinesMax.
	Declines int `json:"declines,omitempty"`

	// Processing: the provider was asked to end the session and is processing a payment, so
	// the seats are kept until Hold.KeptUntil.
	Processing bool `json:"processing,omitempty"`

	// Payment is the payment that paid the order, or that was refunded.
	Payment string `json:"payment,omitempty"`
	// Capture says when the order's money is taken, as in Order.
	Capture CaptureRule `json:"capture,omitempty"`
	// Authorized: the buyer has paid, and the money is captured once the seats are sold.
	Authorized bool `json:"authorized,omitempty"`
	// Released: the payment was only authorised, and nothing was or ever will be taken.
	Released bool `json:"released,omitempty"`
	// Untaken: a payment was reported and should go back, but the provider does not know
	// it. If the provider ever does, the money still has to go back.
	Untaken bool `json:"untaken,omitempty"`
	// PerkTaken says whether the order got the sale's perk. It is also false while that
	// is not known yet.
	PerkTaken bool `json:"perk_taken,omitempty"`
	// Ended is when the checkout reached its ending; zero before.
	Ended time.Time `json:"ended,omitzero"`
}

// Booking says which transfers sold an order's seats. A refund returns those.
type Booking string

// The two ways to sell seats.
const (
	BookedByHold   Booking = "hold"   // the hold was posted
	BookedByRebook Booking = "rebook" // the seats were taken again after the hold was gone
)

// Check is for a booking that comes from outside. It returns an error for one that this
// release does not know.
func (b Booking) Check() error {
	switch b {
	case BookedByHold, BookedByRebook:
		return nil
	default:
		return unknownValue("booking", string(b))
	}
}

// A Sold is a sold order as it goes to the database, in one transaction.
type Sold struct {
	Order     Order     `json:"order"`
	Capture   Capture   `json:"capture"`
	Booking   Booking   `json:"booking"`
	PerkTaken bool      `json:"perk_taken"`
	PaidAt    time.Time `json:"paid_at"`
}

// A Ticket lets one person in.
type Ticket struct {
	Number int    `json:"number"` // 1… within its order
	Class  string `json:"class"`
	Code   string `json:"code"` // what its QR code says

	Holder string `json:"holder,omitempty" doc:"Who it is for, if somebody said so"`
}

// A SoldOrder is an order as the database has it.
type SoldOrder struct {
	ID          OrderID
	SaleID      string
	SaleName    string
	Status      OrderStatus // paid, refunding or refunded
	Lines       []Line
	AmountMinor int64
	Currency    string
	Email       string // empty if it was erased, or the order was restored after its e-mail was lost
	Buyer       BuyerID
	QuotaLedger uint32
	Code        *ClassCodeRef // that the order used; nil: none
	Capture     Capture
	Booking     Booking
	Metadata    Metadata
	Perk        *PerkRef // the sale's perk, if it has one
	PerkTaken   bool
	Tickets     []Ticket
	PaidAt      time.Time
	RefundingAt time.Time
	RefundedAt  time.Time
	ErasedAt    time.Time // when the buyer's data was erased; Email and Metadata are empty then
}

// A Refund gives a captured payment back. Payment is its key: one payment is refunded at
// most once.
type Refund struct {
	Capture     Capture      `json:"capture"`
	SaleID      string       `json:"sale,omitempty"` // empty for an unknown order
	Reason      RefundReason `json:"reason"`
	RequestedAt time.Time    `json:"requested_at"`
	RefundedAt  time.Time    `json:"refunded_at,omitzero"` // zero until the provider was told
}

// HoldAnswer is the answer that a buyer gets for a new order.
type HoldAnswer struct {
	Hold Hold
	// Replayed says that this Idempotency-Key was answered before: this is the same
	// answer.
	Replayed bool
}

// PayResult is the answer to the payment provider's event.
type PayResult struct {
	Status OrderStatus
	// Settled says that the event has had its effect, now or before. Otherwise it is
	// stored durably and will have it.
	Settled bool
}
