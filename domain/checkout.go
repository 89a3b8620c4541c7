package domain

import "time"

// CheckoutState is what a checkout knows of itself: the answer to the workflow's
// query `state`, and its result once it has ended. Fields are only ever added.
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

	// Provider takes the money; empty: of before orders named it.
	Provider string `json:"provider,omitempty"`
	// Session is where the order is paid: known from its beginning, or since its buyer
	// first wanted to pay (PayURL is then the page, Attempt counts). Empty: not yet.
	Session string `json:"session,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	PayURL  string `json:"pay_url,omitempty"`

	// Payment is the payment that paid the order, or that was refunded.
	Payment string `json:"payment,omitempty"`
	// Untaken: the payment was reported and is to go back, and the provider does not
	// know it. Should it ever, the money is to go back yet.
	Untaken bool `json:"untaken,omitempty"`
	// PerkTaken says whether the order got the sale's perk; false too while it
	// is not known yet.
	PerkTaken bool `json:"perk_taken,omitempty"`
	// Ended is when the checkout reached its ending; zero before.
	Ended time.Time `json:"ended,omitzero"`
}

// Booking says which transfers sold an order's seats; a refund returns those.
type Booking string

// The two ways in which seats are sold.
const (
	BookedByHold   Booking = "hold"   // a hold that was posted
	BookedByRebook Booking = "rebook" // seats taken after the hold was gone
)

// Check is for a booking from outside: the error says that this release does not know
// it.
func (b Booking) Check() error {
	switch b {
	case BookedByHold, BookedByRebook:
		return nil
	default:
		return unknownValue("booking", string(b))
	}
}

// A Sold order is what the database is told of it, in one transaction.
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
	Email       string // empty where it was restored and nobody knew it any more
	Buyer       BuyerID
	QuotaLedger uint32
	Capture     Capture
	Booking     Booking
	Metadata    Metadata
	Perk        *PerkRef // the sale's perk, if it has one
	PerkTaken   bool
	Tickets     []Ticket
	PaidAt      time.Time
	RefundingAt time.Time
	RefundedAt  time.Time
}

// A Refund gives a captured payment back. Payment is its key: one payment is
// refunded at most once.
type Refund struct {
	Capture     Capture      `json:"capture"`
	SaleID      string       `json:"sale,omitempty"` // empty for an unknown order
	Reason      RefundReason `json:"reason"`
	RequestedAt time.Time    `json:"requested_at"`
	RefundedAt  time.Time    `json:"refunded_at,omitzero"` // zero while the provider was not told yet
}

// HoldAnswer is what a buyer is told of a new order.
type HoldAnswer struct {
	Hold Hold
	// Replayed says that the same Idempotency-Key was answered before: this is
	// that answer again.
	Replayed bool
}

// PayResult is what the payment provider is told of its event.
type PayResult struct {
	Status OrderStatus
	// Settled says that the event has had its effect, now or before; else it is
	// stored durably and will have it.
	Settled bool
}
