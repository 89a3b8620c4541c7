package domain

import "time"

// A SaleCancellation says how far an organiser's cancellation of a whole sale has come.
// Fields are only ever added, because histories and the database hold it.
type SaleCancellation struct {
	SaleID      string    `json:"sale"`
	RequestedAt time.Time `json:"requested_at"`
	// UpdatedAt is when the counts below were taken; zero before the first time.
	UpdatedAt  time.Time `json:"updated_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"` // zero while anything is left to do

	Stage CancelStage `json:"stage"`

	// OpenCheckouts are still to be canceled; CanceledCheckouts already were.
	OpenCheckouts     int64 `json:"open_checkouts"`
	CanceledCheckouts int64 `json:"canceled_checkouts"`
	// HeldTickets and SoldTickets have not come back to the ledger yet. AvailableTickets
	// came back but are not drained yet; that takes a moment.
	HeldTickets      int64 `json:"held_tickets"`
	SoldTickets      int64 `json:"sold_tickets"`
	AvailableTickets int64 `json:"available_tickets"`
	// OrdersToRefund are paid orders whose refund has not begun.
	OrdersToRefund  int64 `json:"orders_to_refund"`
	OrdersRefunding int64 `json:"orders_refunding"` // the provider has not given the money back yet
	OrdersRefunded  int64 `json:"orders_refunded"`
	// LatePayments came after their checkout had ended. They are going back, or are being
	// looked at.
	LatePayments int64 `json:"late_payments"`

	// Waiting lists some of what has waited longest, with the reason.
	Waiting []CancelWait `json:"waiting,omitempty"`
}

// CancelStage is what a cancellation is doing now.
type CancelStage string

// The stages of a cancellation. Refunds begin while checkouts are still being canceled:
// "releasing" only says that some checkouts are still open.
const (
	CancelClosing   CancelStage = "closing"   // the cancellation is not in force yet: the sale may still sell
	CancelReleasing CancelStage = "releasing" // checkouts are open: their holds are being voided
	CancelRefunding CancelStage = "refunding" // no checkout is open, money is on its way back
	CancelFinished  CancelStage = "finished"  // nothing is held, sold or owed
)

// A CancelWait is something that a cancellation waits for.
type CancelWait struct {
	Order    OrderID   `json:"order"`
	Workflow string    `json:"workflow"`
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason"` // the last failure, worded for the organiser, without buyers' data
	Attempts int32     `json:"attempts,omitempty"`
}

// Done reports whether nothing is left to do: no seat is held, sold or available, no money is owed, and no workflow of the sale is open.
func (c *SaleCancellation) Done() bool {
	return c.OpenCheckouts == 0 && c.HeldTickets == 0 && c.SoldTickets == 0 && c.AvailableTickets == 0 &&
		c.OrdersToRefund == 0 && c.OrdersRefunding == 0 && c.LatePayments == 0
}

// WithStage returns the cancellation with the stage that follows from its counts. If
// nothing is left, it finished at the given time.
func (c SaleCancellation) WithStage(now time.Time) SaleCancellation {
	c.UpdatedAt = now
	switch {
	case c.Done():
		c.Stage, c.FinishedAt = CancelFinished, now
	case c.OpenCheckouts > 0 || c.HeldTickets > 0:
		c.Stage = CancelReleasing
	default:
		c.Stage = CancelRefunding
	}
	return c
}
