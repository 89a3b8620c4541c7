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

// Status is that of an order whose hold has this verdict. The error is for a verdict
// that this release does not know: never a no.
func (h HoldOutcome) Status() (OrderStatus, error) {
	switch h {
	case HoldHeld:
		return OrderHeld, nil
	case HoldSoldOut:
		return OrderSoldOut, nil
	case HoldLimitReached:
		return OrderLimitReached, nil
	default:
		return "", unknownValue("hold", string(h))
	}
}

// How long a hold outlives the deadline of its checkout in the ledger. Giving up is
// thereby ours and never a race, and the seats still come free when nothing of
// ours is left to void them. It is longer than clocks may differ and than it takes
// to end a checkout after an outage.
const (
	HoldGraceDefault = 2 * time.Minute
	HoldGraceMin     = ClockSkewMax + 40*time.Second
	HoldGraceMax     = time.Hour
)

// What is tolerated of the clocks of the ledger, Temporal, Postgres and the nodes:
// how far two of them may differ before somebody is told, and before nothing is
// sold any more.
const (
	ClockSkewWarn = 5 * time.Second
	ClockSkewMax  = 20 * time.Second
)

// A Hold is the answer to an order: its seats are set aside until ExpiresAt, or
// it is known that they are not.
type Hold struct {
	Outcome HoldOutcome `json:"outcome"`
	// CheckoutOpen tells which limit was reached (HoldLimitReached): the buyer had
	// another checkout open; else their tickets would have been too many.
	CheckoutOpen bool `json:"checkout_open,omitempty"`
	// HeldAt is the ledger's own timestamp of the hold. It is held against no other
	// clock: ExpiresAt, the moment at which the checkout gives up, is by Temporal's,
	// see activities.HoldRequest.
	HeldAt    time.Time `json:"held_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Grace is how much later the ledger itself frees the seats. Holds from before it
	// was noted here have 30 s.
	Grace time.Duration `json:"grace,omitempty"`
}

// PostOutcome is the ledger's verdict on turning a hold into a sale.
type PostOutcome string

// The verdicts on a post.
const (
	PostPosted   PostOutcome = "posted"    // the seats are sold to this order, now or before
	PostGone     PostOutcome = "hold_gone" // the hold was voided or had expired: the money is late
	PostReturned PostOutcome = "returned"  // they were sold to this order, and went back: never sold again
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
	RebookReturned RebookOutcome = "returned"  // they were rebooked, and went back: never sold again
)

// UnsoldReason is why seats that were sold to an order were taken back. The ledger
// keeps it with them, so that whoever asks again hears the same.
type UnsoldReason string

// The reasons.
const (
	UnsoldNotSaid      UnsoldReason = ""             // a refund, or an earlier release
	UnsoldUnrecordable UnsoldReason = "unrecordable" // the database will never take the order
	UnsoldRefunding    UnsoldReason = "refunding"    // its payment was on its way back already
	UnsoldUnpaid       UnsoldReason = "unpaid"       // nobody had paid
)
