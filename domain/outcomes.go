package domain

import "time"

// HoldOutcome is the ledger's verdict on a hold.
type HoldOutcome string

// The verdicts on a hold. All are definite and final: the same order asked
// again gets the same one.
const (
	HoldHeld         HoldOutcome = "held"
	HoldSoldOut      HoldOutcome = "sold_out"
	HoldLimitReached HoldOutcome = "limit_reached"
)

// A Hold is the answer to an order: its seats are set aside until ExpiresAt, or
// it is known that they are not.
type Hold struct {
	Outcome HoldOutcome `json:"outcome"`
	// CheckoutOpen tells which limit was reached (HoldLimitReached): the buyer had
	// another checkout open; else their tickets would have been too many.
	CheckoutOpen bool `json:"checkout_open,omitempty"`
	// HeldAt is the ledger's own timestamp of the hold; ExpiresAt is HeldAt +
	// the sale's hold timeout: the moment at which the checkout gives up. The
	// ledger itself frees the seats ledger.HoldGrace later.
	HeldAt    time.Time `json:"held_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// PostOutcome is the ledger's verdict on turning a hold into a sale.
type PostOutcome string

// The verdicts on a post.
const (
	PostPosted PostOutcome = "posted"    // the seats are sold to this order, now or before
	PostGone   PostOutcome = "hold_gone" // the hold was voided or had expired: the money is late
)

// VoidOutcome is the ledger's verdict on giving a hold back.
type VoidOutcome string

// The verdicts on a void.
const (
	VoidVoided VoidOutcome = "voided"         // the seats are free, now or before, by the void or by expiry
	VoidPosted VoidOutcome = "already_posted" // the hold was posted: this order is paid
)

// RebookOutcome is the ledger's verdict on seats for money that came late.
type RebookOutcome string

// The verdicts on a rebooking.
const (
	RebookBooked   RebookOutcome = "rebooked"
	RebookNoneLeft RebookOutcome = "none_left" // or the buyer's quota is used up by now
)
