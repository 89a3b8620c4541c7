package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"

	"boxoffice/domain"
)

// A Ledger books the seats. Its verdicts are values; an error means that there
// is no verdict: a *domain.UnknownError (repeat, the ids are the same), a
// *domain.Error with CodeOverloaded (nothing was sent), or a *domain.Error with
// CodeInternal (the request can never succeed: our fault).
type Ledger interface {
	Hold(ctx context.Context, order *domain.Order) (domain.Hold, error)
	Post(ctx context.Context, order *domain.Order) (domain.PostOutcome, error)
	Void(ctx context.Context, order *domain.Order) (domain.VoidOutcome, error)
	TakePerk(ctx context.Context, order *domain.Order) (bool, error)
	Rebook(ctx context.Context, order *domain.Order) (domain.RebookOutcome, error)
	Return(ctx context.Context, order *domain.SoldOrder) error
}

// Orders records what was sold and what went back. Every method is idempotent.
type Orders interface {
	Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error)
	BeginOrderRefund(ctx context.Context, order domain.OrderID, reason domain.RefundReason, at time.Time) (domain.SoldOrder, error)
	BeginRefund(ctx context.Context, refund domain.Refund) error
	FinishRefund(ctx context.Context, payment string, at time.Time) error
}

// A Provider takes payments. Expire is atomic with paying. Capture reports
// what was taken in a session, and false where nothing was or the session is
// unknown. Refund answers a *domain.Error with CodeNotFound when the provider
// never took that payment.
type Provider interface {
	Expire(ctx context.Context, order domain.OrderID) (domain.ExpireOutcome, error)
	Capture(ctx context.Context, session string) (domain.Capture, bool, error)
	Refund(ctx context.Context, refund domain.Refund) error
}

// Activities are the activities of the task queue; its exported methods are
// registered under their own names.
type Activities struct {
	Ledger   Ledger
	Orders   Orders
	Provider Provider
	// Notices tells this process of holds as they happen; nil where no API runs.
	Notices *HoldNotices
}

// Hold sets the order's seats aside, all or none.
func (a *Activities) Hold(ctx context.Context, order domain.Order) (domain.Hold, error) {
	hold, err := a.Ledger.Hold(ctx, &order)
	if err != nil {
		return domain.Hold{}, forWorkflow(err)
	}
	a.Notices.publish(order.ID, hold)
	return hold, nil
}

// Settlement asks for an order to be sold for a capture.
type Settlement struct {
	Order   domain.Order   `json:"order"`
	Capture domain.Capture `json:"capture"`
	Booking domain.Booking `json:"booking"`
	PaidAt  time.Time      `json:"paid_at"`
}

// Settled says whether the order was sold. When it was not, nothing changed:
// the hold was gone (BookedByHold) or nothing was left (BookedByRebook).
type Settled struct {
	Sold      bool `json:"sold"`
	PerkTaken bool `json:"perk_taken"`
}

// Settle sells the order: seats, then perk, then the record with its tickets.
// The three are one activity because each is idempotent and a crash between
// them is healed by running all of them again; as three they would only cost
// history. The order of the steps matters: a ticket is never recorded before
// its seat is sold.
func (a *Activities) Settle(ctx context.Context, s Settlement) (Settled, error) {
	sold, err := a.bookSeats(ctx, &s)
	if err != nil || !sold {
		return Settled{}, forWorkflow(err)
	}
	perk, err := a.Ledger.TakePerk(ctx, &s.Order)
	if err != nil {
		return Settled{}, forWorkflow(err)
	}
	record := domain.Sold{Order: s.Order, Capture: s.Capture, Booking: s.Booking, PerkTaken: perk, PaidAt: s.PaidAt}
	if _, err := a.Orders.Record(ctx, record); err != nil {
		return Settled{}, forWorkflow(err)
	}
	return Settled{Sold: true, PerkTaken: perk}, nil
}

func (a *Activities) bookSeats(ctx context.Context, s *Settlement) (bool, error) {
	if s.Booking == domain.BookedByRebook {
		outcome, err := a.Ledger.Rebook(ctx, &s.Order)
		return outcome == domain.RebookBooked, err
	}
	outcome, err := a.Ledger.Post(ctx, &s.Order)
	return outcome == domain.PostPosted, err
}

// Release gives the order's seats back.
func (a *Activities) Release(ctx context.Context, order domain.Order) (domain.VoidOutcome, error) {
	outcome, err := a.Ledger.Void(ctx, &order)
	return outcome, forWorkflow(err)
}

// ExpireSession forbids any further payment for the order, unless one was
// captured already: the provider decides atomically which.
func (a *Activities) ExpireSession(ctx context.Context, order domain.OrderID) (domain.ExpireOutcome, error) {
	outcome, err := a.Provider.Expire(ctx, order)
	return outcome, forWorkflow(err)
}

// FoundCapture is what the provider took in a session, if anything.
type FoundCapture struct {
	Captured bool           `json:"captured"`
	Capture  domain.Capture `json:"capture,omitzero"`
}

// FindCapture asks the provider what it took in a session.
func (a *Activities) FindCapture(ctx context.Context, session string) (FoundCapture, error) {
	capture, captured, err := a.Provider.Capture(ctx, session)
	return FoundCapture{Captured: captured, Capture: capture}, forWorkflow(err)
}

// RecordRefundDue notes that a payment which bought no ticket goes back, before
// the provider is told, so that an operator can see it while it is due.
func (a *Activities) RecordRefundDue(ctx context.Context, refund domain.Refund) error {
	return forWorkflow(a.Orders.BeginRefund(ctx, refund))
}

// RecordOrderRefundDue moves a paid order to refunding and returns it.
func (a *Activities) RecordOrderRefundDue(ctx context.Context, due OrderRefund) (domain.SoldOrder, error) {
	sold, err := a.Orders.BeginOrderRefund(ctx, due.Order, due.Reason, due.At)
	return sold, forWorkflow(err)
}

// OrderRefund asks for the refund of a paid order.
type OrderRefund struct {
	Order  domain.OrderID      `json:"order"`
	Reason domain.RefundReason `json:"reason"`
	At     time.Time           `json:"at"`
}

// RefundPayment tells the provider to give the money back. A payment that the
// provider never took needs no refund: that is success too.
func (a *Activities) RefundPayment(ctx context.Context, refund domain.Refund) error {
	err := a.Provider.Refund(ctx, refund)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil
	}
	return forWorkflow(err)
}

// ReturnSeats puts the seats of a refunded order back on sale.
func (a *Activities) ReturnSeats(ctx context.Context, order domain.SoldOrder) error {
	return forWorkflow(a.Ledger.Return(ctx, &order))
}

// RefundDone closes a refund.
type RefundDone struct {
	Payment string    `json:"payment"`
	At      time.Time `json:"at"`
}

// RecordRefundDone notes that the money went back.
func (a *Activities) RecordRefundDone(ctx context.Context, done RefundDone) error {
	return forWorkflow(a.Orders.FinishRefund(ctx, done.Payment, done.At))
}

// forWorkflow gives an error the type name that the workflow's retry policies
// and the Web UI see: the domain's code. Only what can never succeed is not
// retried.
func forWorkflow(err error) error {
	if err == nil {
		return nil
	}
	code := domain.CodeOf(err)
	if definite := (*domain.Error)(nil); errors.As(err, &definite) && neverSucceeds(code) {
		return temporal.NewNonRetryableApplicationError(err.Error(), string(code), err)
	}
	return temporal.NewApplicationErrorWithCause(err.Error(), string(code), err)
}

func neverSucceeds(code domain.Code) bool {
	switch code {
	case domain.CodeInvalid, domain.CodeInternal, domain.CodeNotPaid, domain.CodeKeyReused:
		return true
	default:
		return false
	}
}
