package domain

import "time"

// HoldOutcome is the ledger's verdict on a hold.
type HoldOutcome string

// The verdicts on a hold. All are final: the same order always gets the same one.
const (
	HoldHeld         HoldOutcome = "held"
	HoldSoldOut      HoldOutcome = "sold_out"
	HoldLimitReached HoldOutcome = "limit_reached"
)

// Status is the status of an order whose hold got this verdict. It fails for a verdict
// that this release does not know, and that is never a no.
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

// How long a hold outlives its checkout's deadline in the ledger. The checkout gives up
// first, so it never races the ledger, and the seats still come free if nothing of ours
// is left to void them. It is longer than clocks may differ, and longer than it takes to
// end a checkout after an outage.
const (
	HoldGraceDefault = 2 * time.Minute
	HoldGraceMin     = ClockSkewMax + 40*time.Second
	HoldGraceMax     = time.Hour
)

// How far the clocks of the ledger, Temporal, Postgres and the nodes may differ: first
// before we warn, then before we stop selling.
const (
	ClockSkewWarn = 5 * time.Second
	ClockSkewMax  = 20 * time.Second
)

// A Hold is the answer to an order: its seats are set aside until ExpiresAt, or
// definitely not.
type Hold struct {
	Outcome HoldOutcome `json:"outcome"`
	// CheckoutOpen says which limit was reached (HoldLimitReached): the buyer had another
	// checkout open, or else would have had too many tickets.
	CheckoutOpen bool `json:"checkout_open,omitempty"`
	// CodeUsed says that it was the limit of the order's code: other orders have all its uses.
	CodeUsed bool `json:"code_used,omitempty"`
	// HeldAt is the ledger's own timestamp of the hold. Don't compare it with other
	// clocks: ExpiresAt, when the checkout gives up, is by Temporal's, see
	// activities.HoldRequest.
	HeldAt    time.Time `json:"held_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Grace is how long after ExpiresAt the ledger frees the seats by itself. Holds from
	// before this was recorded have 30 s.
	Grace time.Duration `json:"grace,omitempty"`
	// ProcessingExtension is the order's, or 0 if whoever placed the hold knew nothing of it.
	// Grace includes it.
	ProcessingExtension time.Duration `json:"processing_extension,omitempty"`
}

// KeptUntil is until when the seats are kept for a payment that is being processed.
func (h *Hold) KeptUntil() time.Time { return h.ExpiresAt.Add(h.ProcessingExtension) }

// PostOutcome is the ledger's verdict on turning a hold into a sale.
type PostOutcome string

// The verdicts on a post.
const (
	PostPosted   PostOutcome = "posted"    // the seats are sold to this order, now or by an earlier try
	PostGone     PostOutcome = "hold_gone" // the hold was voided or had expired: the money is late
	PostReturned PostOutcome = "returned"  // they were sold to this order and went back: never sold to it again
)

// VoidOutcome is the ledger's verdict on giving a hold back.
type VoidOutcome string

// The verdicts on a void.
const (
	VoidVoided VoidOutcome = "voided"         // the seats are free, by this void, an earlier one, or expiry
	VoidPosted VoidOutcome = "already_posted" // the hold was posted: this order is paid
)

// RebookOutcome is the ledger's verdict on selling seats for money that came late.
type RebookOutcome string

// The verdicts on a rebooking.
const (
	RebookBooked   RebookOutcome = "rebooked"
	RebookNoneLeft RebookOutcome = "none_left" // or the buyer's quota has been used up since
	RebookReturned RebookOutcome = "returned"  // they were rebooked and went back: never sold to it again
)

// UnsoldReason says why seats sold to an order were taken back. The ledger keeps it with
// them, so a repeated request gets the same answer.
type UnsoldReason string

// The reasons.
const (
	UnsoldNotSaid      UnsoldReason = ""             // a refund, or an earlier release
	UnsoldUnrecordable UnsoldReason = "unrecordable" // the database will never take the order
	UnsoldRefunding    UnsoldReason = "refunding"    // its payment was on its way back already
	UnsoldUnpaid       UnsoldReason = "unpaid"       // nobody had paid
	UnsoldUncaptured   UnsoldReason = "uncaptured"   // the payment was authorised, and could not be captured
)
