package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"boxoffice/domain"
	"boxoffice/payments"
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
	// Unsell takes a booking back that was never recorded, its perk included;
	// the order is never sold again. It keeps why, and answers what was kept first.
	Unsell(ctx context.Context, order *domain.Order, booking domain.Booking, why domain.UnsoldReason) (domain.UnsoldReason, error)
	// SeatFate is a read: whether anything was sold to the order.
	SeatFate(ctx context.Context, order domain.OrderID) (domain.SeatFate, error)
}

// Orders records what was sold and what went back. Every method is idempotent.
type Orders interface {
	// Record answers a *domain.Error with CodeExists when another payment
	// bought the order, or this payment goes back; with CodeInvalid or
	// CodeInternal when the order can never be recorded.
	Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error)
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
	BeginOrderRefund(ctx context.Context, order domain.OrderID, reason domain.RefundReason, at time.Time) (domain.SoldOrder, error)
	// BeginRefund answers a *domain.Error with CodeExists when the payment
	// bought tickets; with CodeInvalid or CodeInternal when it did not, and the
	// refund can never be recorded.
	BeginRefund(ctx context.Context, refund domain.Refund) error
	FinishRefund(ctx context.Context, payment string, at time.Time) error
}

// A Provider takes payments: a payments.Set, which tells what it promises. Open opens a
// session at the provider that it is told. Expire is atomic with paying. Capture reports
// what was taken in a session, and false where nothing was or the session is
// unknown. Refund answers a *domain.Error with CodeNotFound when the provider
// never took that payment.
type Provider interface {
	Open(ctx context.Context, provider string, opening payments.Opening) (domain.PayPage, error)
	Expire(ctx context.Context, session string) (domain.ExpireOutcome, error)
	Capture(ctx context.Context, session string) (domain.Capture, bool, error)
	Refund(ctx context.Context, refund domain.Refund) error
}

// A Flag is something that went right for the buyer and that an operator must
// look into all the same.
type Flag string

// The flags.
const (
	FlagUnrecordable     Flag = "unrecordable"      // the database will never take a paid order: unsold, and its money goes back
	FlagUnpaidPost       Flag = "unpaid_post"       // seats were sold and nobody has money for them: unsold
	FlagWrongAmount      Flag = "wrong_amount"      // captured for another amount or currency than the order's: it goes back
	FlagUnrecordedRefund Flag = "unrecorded_refund" // the database will never take a refund: the money goes back without a record
	FlagRefundUnknown    Flag = "refund_unknown"    // the provider does not know a payment that it is to give back
	FlagStuck            Flag = "stuck"             // a step that holds money, or owes it, met a fault of ours: it is tried again until it succeeds
	FlagRecordLost       Flag = "record_lost"       // the ledger sold the seats and the database has no record: its money stays until it has
)

// Flags is every flag.
var Flags = []Flag{FlagUnrecordable, FlagUnpaidPost, FlagWrongAmount, FlagUnrecordedRefund, FlagRefundUnknown, FlagStuck, FlagRecordLost}

// Activities are the activities of the task queue; its exported methods are
// registered under their own names.
type Activities struct {
	Ledger   Ledger
	Orders   Orders
	Provider Provider
	// Notices tells this process of holds as they happen; nil where no API runs.
	Notices *HoldNotices
	// Flagged is told of what an operator must look into, and why; again when an
	// activity is repeated. Nil: nobody listens.
	Flagged func(flag Flag, order domain.OrderID, why error)
	// SaleCancel has activities of its own.
	SaleCancel
}

func (a *Activities) flag(flag Flag, order domain.OrderID, why error) {
	if a.Flagged != nil {
		a.Flagged(flag, order, why)
	}
}

// HoldRequest asks for an order's seats. Workers of earlier releases take an Order:
// its members are the same.
type HoldRequest struct {
	domain.Order
	// By Temporal's clock: when the checkout began, and when it asked for its seats.
	BegunAt time.Time `json:"begun_at,omitzero"`
	AskedAt time.Time `json:"asked_at,omitzero"`
}

// Hold sets the order's seats aside, all or none.
func (a *Activities) Hold(ctx context.Context, request HoldRequest) (domain.Hold, error) {
	hold, err := a.Ledger.Hold(ctx, &request.Order)
	if err != nil {
		return domain.Hold{}, forWorkflow(err)
	}
	if hold.Outcome == domain.HoldHeld {
		hold.ExpiresAt = request.placedAt(hold.HeldAt, askedAt(ctx, &request)).Add(request.HoldTimeout)
	}
	a.Notices.publish(request.ID, hold)
	return hold, nil
}

// placedAt is when the hold was placed, by Temporal's clock, which the checkout waits
// by. The ledger's timestamp is of another clock: it counts only within what
// Temporal's says is possible, which tells a hold of just now from one that an
// earlier attempt placed before an outage. So whatever the ledger's clock says,
// nobody has less time than from the beginning of the checkout, and the hold
// outlives the deadline by its grace, less how far the clocks differ. However
// often a hold is asked for, the answer is never earlier than before.
func (r *HoldRequest) placedAt(heldAt, askedAt time.Time) time.Time {
	switch {
	case heldAt.Before(r.BegunAt):
		return r.BegunAt
	case !askedAt.IsZero() && heldAt.After(askedAt):
		return askedAt
	default:
		return heldAt
	}
}

// askedAt is when this attempt began. Only a regular activity knows by Temporal's
// clock; a local one is tried for some seconds at most.
func askedAt(ctx context.Context, r *HoldRequest) time.Time {
	if !activity.IsActivity(ctx) {
		return r.AskedAt
	}
	if info := activity.GetInfo(ctx); !info.IsLocalActivity && info.StartedTime.After(r.AskedAt) {
		return info.StartedTime
	}
	return r.AskedAt
}

// Settlement asks for an order to be sold for a capture.
type Settlement struct {
	Order   domain.Order   `json:"order"`
	Capture domain.Capture `json:"capture"`
	Booking domain.Booking `json:"booking"`
	PaidAt  time.Time      `json:"paid_at"`
}

// Settled says what became of the capture.
type Settled struct {
	Outcome   SettleOutcome `json:"outcome"`
	PerkTaken bool          `json:"perk_taken,omitempty"`
	// Payment is the one that bought the order: another one for SettleSoldBefore.
	Payment string `json:"payment,omitempty"`
}

// SettleOutcome is definite; in every case but SettleSold nothing was sold for
// the capture, and nothing is left behind.
type SettleOutcome string

// The outcomes of a settlement.
const (
	SettleSold       SettleOutcome = "sold"        // to this capture, now or before
	SettleNoSeats    SettleOutcome = "no_seats"    // the hold is gone (BookedByHold) or none is left (BookedByRebook)
	SettleSoldBefore SettleOutcome = "sold_before" // another payment bought the order
	SettleRefunding  SettleOutcome = "refunding"   // this payment is on its way back
	// SettleUnrecordable: the database will never take the order.
	SettleUnrecordable SettleOutcome = "unrecordable"
	// SettleUnpaid: nobody had paid, see Unsell.
	SettleUnpaid SettleOutcome = "unpaid"
)

// Settle sells the order: seats, then perk, then the record with its tickets.
// The three are one activity because each is idempotent and a crash between
// them is healed by running all of them again; as three they would only cost
// history. The order of the steps matters: a ticket is never recorded before
// its seat is sold. Where an earlier attempt had taken the sale back, or had begun
// to, that is finished, and the answer is what it would have said.
func (a *Activities) Settle(ctx context.Context, s Settlement) (Settled, error) {
	booked, err := a.bookSeats(ctx, &s)
	switch {
	case err != nil:
		return Settled{}, a.whileOwed(s.Order.ID, err)
	case booked == seatsReturned:
		return a.undo(ctx, &s, domain.UnsoldNotSaid)
	case booked == seatsGone:
		return Settled{Outcome: SettleNoSeats}, nil
	}
	perk, err := a.Ledger.TakePerk(ctx, &s.Order)
	if err != nil {
		return Settled{}, a.whileOwed(s.Order.ID, err)
	}
	record := domain.Sold{Order: s.Order, Capture: s.Capture, Booking: s.Booking, PerkTaken: perk, PaidAt: s.PaidAt}
	sold, err := a.Orders.Record(ctx, record)
	switch {
	case domain.CodeOf(err) == domain.CodeExists:
		return a.undo(ctx, &s, domain.UnsoldRefunding)
	case isForGood(err):
		a.flag(FlagUnrecordable, s.Order.ID, err)
		return a.undo(ctx, &s, domain.UnsoldUnrecordable)
	case err != nil:
		return Settled{}, a.whileOwed(s.Order.ID, err)
	default:
		return Settled{Outcome: SettleSold, PerkTaken: sold.PerkTaken, Payment: s.Capture.Payment}, nil
	}
}

// undo: this payment cannot buy the order, or its seats went back before. Where a
// payment has bought it, the seats are that one's; else they were taken for nothing
// and go back. What is answered is why they did, the first time.
func (a *Activities) undo(ctx context.Context, s *Settlement, why domain.UnsoldReason) (Settled, error) {
	sold, err := a.Orders.Order(ctx, s.Order.ID)
	switch {
	case err == nil && sold.Capture.Payment == s.Capture.Payment:
		return Settled{Outcome: SettleSold, PerkTaken: sold.PerkTaken, Payment: sold.Capture.Payment}, nil
	case err == nil:
		return Settled{Outcome: SettleSoldBefore, PerkTaken: sold.PerkTaken, Payment: sold.Capture.Payment}, nil
	case domain.CodeOf(err) != domain.CodeNotFound:
		return Settled{}, a.whileOwed(s.Order.ID, err)
	}
	unsold, err := a.Ledger.Unsell(ctx, &s.Order, s.Booking, why)
	if err != nil {
		return Settled{}, a.whileOwed(s.Order.ID, err)
	}
	switch unsold {
	case domain.UnsoldUnrecordable:
		return Settled{Outcome: SettleUnrecordable, Payment: s.Capture.Payment}, nil
	case domain.UnsoldRefunding:
		return Settled{Outcome: SettleRefunding, Payment: s.Capture.Payment}, nil
	case domain.UnsoldNotSaid, domain.UnsoldUnpaid: // refunded, or given back for want of a payment: never sold again
		return Settled{Outcome: SettleNoSeats}, nil
	default:
		return Settled{}, a.whileOwed(s.Order.ID, notKnown("why the seats went back", unsold))
	}
}

// notKnown is a value of another part that this release does not know: a fault of
// ours, and no reason to refuse or to give money back.
func notKnown[T ~string](what string, value T) error {
	return &domain.Error{Code: domain.CodeInternal, Err: fmt.Errorf("%s: this release does not know %q", what, string(value))}
}

// errUnpaid is why seats are unsold that no payment was found for.
var errUnpaid = errors.New("the ledger has sold the seats; neither the provider nor the database knows of a payment")

// FindSale tells what payment the order was recorded with: SettleSoldBefore, or
// SettleUnpaid where none was.
func (a *Activities) FindSale(ctx context.Context, order domain.OrderID) (Settled, error) {
	sold, err := a.Orders.Order(ctx, order)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		return Settled{Outcome: SettleUnpaid}, nil
	case err != nil:
		return Settled{}, a.whileOwed(order, err)
	default:
		return Settled{Outcome: SettleSoldBefore, PerkTaken: sold.PerkTaken, Payment: sold.Capture.Payment}, nil
	}
}

// Unsell gives back the seats of an order whose hold was posted although no
// payment can be found: SettleUnpaid, or SettleSoldBefore where it was recorded
// after all.
func (a *Activities) Unsell(ctx context.Context, order domain.Order) (Settled, error) {
	settled, err := a.undo(ctx, &Settlement{Order: order, Booking: domain.BookedByHold}, domain.UnsoldUnpaid)
	if err != nil || settled.Outcome == SettleSoldBefore {
		return settled, err
	}
	a.flag(FlagUnpaidPost, order.ID, errUnpaid)
	return Settled{Outcome: SettleUnpaid}, nil
}

// seats are what the ledger says of those that a settlement asks for.
type seats int

const (
	seatsGone seats = iota // none were sold: the hold is gone, or none is left
	seatsBooked
	seatsReturned // they were, and went back
)

func (a *Activities) bookSeats(ctx context.Context, s *Settlement) (seats, error) {
	switch s.Booking {
	case domain.BookedByHold:
		outcome, err := a.Ledger.Post(ctx, &s.Order)
		return postedSeats(outcome, err)
	case domain.BookedByRebook:
		outcome, err := a.Ledger.Rebook(ctx, &s.Order)
		return rebookedSeats(outcome, err)
	default:
		return seatsGone, notKnown("how to book seats", s.Booking)
	}
}

func postedSeats(outcome domain.PostOutcome, err error) (seats, error) {
	if err != nil {
		return seatsGone, err
	}
	switch outcome {
	case domain.PostPosted:
		return seatsBooked, nil
	case domain.PostGone:
		return seatsGone, nil
	case domain.PostReturned:
		return seatsReturned, nil
	default:
		return seatsGone, notKnown("the answer to a post", outcome)
	}
}

func rebookedSeats(outcome domain.RebookOutcome, err error) (seats, error) {
	if err != nil {
		return seatsGone, err
	}
	switch outcome {
	case domain.RebookBooked:
		return seatsBooked, nil
	case domain.RebookNoneLeft:
		return seatsGone, nil
	case domain.RebookReturned:
		return seatsReturned, nil
	default:
		return seatsGone, notKnown("the answer to a rebooking", outcome)
	}
}

// Release gives the order's seats back.
func (a *Activities) Release(ctx context.Context, order domain.Order) (domain.VoidOutcome, error) {
	outcome, err := a.Ledger.Void(ctx, &order)
	return outcome, a.whileOwed(order.ID, err)
}

// SessionToOpen asks for a session in which an order is paid.
type SessionToOpen struct {
	Provider string           `json:"provider"`
	Opening  payments.Opening `json:"opening"`
}

// OpenSession opens a session in which an order is paid, or finds it: the opening's order
// and attempt are its key.
func (a *Activities) OpenSession(ctx context.Context, open SessionToOpen) (domain.PayPage, error) {
	page, err := a.Provider.Open(ctx, open.Provider, open.Opening)
	return page, forWorkflow(err)
}

// A Session is the id of a payment session, as an argument. Releases from before sessions
// had ids of their own wrote the id of an order where it is to be expired.
type Session string

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Session) UnmarshalText(text []byte) error {
	*s = Session(text)
	if order, err := domain.ParseOrderID(string(text)); err == nil {
		*s = Session((&domain.Order{ID: order}).PaymentSession())
	}
	return nil
}

// ExpireSession forbids any further payment in a session, unless one was
// captured already: the provider decides atomically which.
func (a *Activities) ExpireSession(ctx context.Context, session Session) (domain.ExpireOutcome, error) {
	outcome, err := a.Provider.Expire(ctx, string(session))
	return outcome, fromProvider(err)
}

// FoundCapture is what the provider took in a session, if anything.
type FoundCapture struct {
	Captured bool           `json:"captured"`
	Capture  domain.Capture `json:"capture,omitzero"`
}

// FindCapture asks the provider what it took in a session.
func (a *Activities) FindCapture(ctx context.Context, session string) (FoundCapture, error) {
	capture, captured, err := a.Provider.Capture(ctx, session)
	return FoundCapture{Captured: captured, Capture: capture}, fromProvider(err)
}

// RefundDue says whether a payment goes back; it does not when it bought
// tickets after all.
type RefundDue struct {
	Due bool `json:"due"`
	// Unrecorded: it goes back without a record, which the database refuses.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// RecordRefundDue notes that a payment which bought no ticket goes back, before
// the provider is told, so that an operator can see it while it is due. It is
// the last step before money moves, so it finds out for itself that nothing was
// sold for it.
func (a *Activities) RecordRefundDue(ctx context.Context, refund domain.Refund) (RefundDue, error) {
	if err := a.checkUnsold(ctx, &refund); err != nil {
		return RefundDue{}, a.whileOwed(refund.Capture.Order, err)
	}
	err := a.Orders.BeginRefund(ctx, refund)
	unrecorded := isForGood(err)
	switch {
	case domain.CodeOf(err) == domain.CodeExists:
		return RefundDue{}, nil
	case unrecorded:
		a.flag(FlagUnrecordedRefund, refund.Capture.Order, err)
	case err != nil:
		return RefundDue{}, a.whileOwed(refund.Capture.Order, err)
	}
	if refund.Reason == domain.RefundWrongAmount {
		a.flag(FlagWrongAmount, refund.Capture.Order, fmt.Errorf("payment %s captured %d %s (minor units)",
			refund.Capture.Payment, refund.Capture.AmountMinor, refund.Capture.Currency))
	}
	return RefundDue{Due: true, Unrecorded: unrecorded}, nil
}

// checkUnsold finds positive evidence that a payment bought nothing: the ledger
// sold no seats to its order, or gave them back, or the order's record says which
// payment bought it. The error means that there is none, yet: the database was put back to
// an earlier moment, or somebody is selling the seats right now. It is unknown, so
// the step is tried again and the money stays.
func (a *Activities) checkUnsold(ctx context.Context, refund *domain.Refund) error {
	id := refund.Capture.Order
	fate, err := a.Ledger.SeatFate(ctx, id)
	if err != nil {
		return err
	}
	switch fate {
	case domain.SeatsNeverHeld, domain.SeatsReleased, domain.SeatsReturned:
		return nil
	case domain.SeatsHeld:
		if refund.Reason != domain.RefundUnknownOrder {
			return nil // its checkout says what this money is worth
		}
		return &domain.UnknownError{Op: "refund", ID: refund.Capture.Payment,
			Err: fmt.Errorf("the ledger still holds seats for order %s, of which nothing else is known: its money stays until the hold has ended", id)}
	case domain.SeatsSold: // to another payment, if its record says so
	default:
		return notKnown("what became of the seats", fate)
	}
	_, err = a.Orders.Order(ctx, id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		lost := fmt.Errorf(
			"the ledger sold the seats of order %s and its record is lost: payment %s stays; run `boxoffice restore-orders`",
			id,
			refund.Capture.Payment,
		)
		if !activity.IsActivity(ctx) || activity.GetInfo(ctx).Attempt > 1 { // at first it may be about to be recorded
			a.flag(FlagRecordLost, id, lost)
		}
		return &domain.UnknownError{Op: "refund", ID: refund.Capture.Payment, Err: lost}
	}
	return err
}

// RecordOrderRefundDue moves a paid order to refunding and returns it.
func (a *Activities) RecordOrderRefundDue(ctx context.Context, due OrderRefund) (domain.SoldOrder, error) {
	sold, err := a.Orders.BeginOrderRefund(ctx, due.Order, due.Reason, due.At)
	return sold, a.whileOwed(due.Order, err)
}

// OrderRefund asks for the refund of a paid order.
type OrderRefund struct {
	Order  domain.OrderID      `json:"order"`
	Reason domain.RefundReason `json:"reason"`
	At     time.Time           `json:"at"`
}

// RefundCall asks for a payment to be given back.
type RefundCall struct {
	domain.Refund
	// Confirmed: the payment bought tickets, or the provider has shown that it took it.
	Confirmed bool `json:"confirmed,omitempty"`
}

// RefundGiven says what the provider did.
type RefundGiven struct {
	// Untaken: nothing, it does not know the payment, which nobody but its event speaks of.
	Untaken bool `json:"untaken,omitempty"`
}

// RefundPayment tells the provider to give the money back. A payment that it has
// shown before and does not know now stays due: it may be another account that
// answers. One that only an event spoke of may never have been taken.
func (a *Activities) RefundPayment(ctx context.Context, refund RefundCall) (RefundGiven, error) {
	err := a.Provider.Refund(ctx, refund.Refund)
	if domain.CodeOf(err) != domain.CodeNotFound {
		return RefundGiven{}, fromProvider(err)
	}
	unknown := fmt.Errorf("the provider does not know payment %s, which is to go back: is it the account that took it? %w", refund.Capture.Payment, err)
	a.flag(FlagRefundUnknown, refund.Capture.Order, unknown)
	if refund.Confirmed {
		return RefundGiven{}, fromProvider(unknown)
	}
	return RefundGiven{Untaken: true}, nil
}

// ReturnSeats puts the seats of a refunded order back on sale.
func (a *Activities) ReturnSeats(ctx context.Context, order domain.SoldOrder) error {
	return a.whileOwed(order.ID, a.Ledger.Return(ctx, &order))
}

// RefundDone closes a refund.
type RefundDone struct {
	Payment string    `json:"payment"`
	At      time.Time `json:"at"`
}

// RecordRefundDone notes that the money went back.
func (a *Activities) RecordRefundDone(ctx context.Context, done RefundDone) error {
	return a.whileOwed(domain.OrderID{}, a.Orders.FinishRefund(ctx, done.Payment, done.At))
}

// forWorkflow gives an error the type name that the workflow's retry policies
// and the Web UI see: the domain's code. Only what can never succeed is not
// retried.
func forWorkflow(err error) error {
	if err == nil {
		return nil
	}
	if isForGood(err) {
		return temporal.NewNonRetryableApplicationError(err.Error(), string(domain.CodeOf(err)), err)
	}
	return retryable(err)
}

// whileOwed is forWorkflow for steps that hold money or owe it: a fault of ours, such
// as a status of the ledger that this release does not know, must not end a workflow
// that has somebody's money. It is told, and tried again until a release knows better.
func (a *Activities) whileOwed(order domain.OrderID, err error) error {
	if code := domain.CodeOf(err); !isForGood(err) || code == domain.CodeNotPaid || code == domain.CodeKeyReused {
		return forWorkflow(err)
	}
	a.flag(FlagStuck, order, err)
	return retryable(err)
}

// isForGood reports whether a failure stays one however often the step is tried.
func isForGood(err error) bool {
	var definite *domain.Error
	return errors.As(err, &definite) && neverSucceeds(domain.CodeOf(err))
}

// fromProvider is for calls that are owed: whatever the provider refuses today,
// the money stays due, and the call is repeated where an operator can see it.
func fromProvider(err error) error {
	if err == nil {
		return nil
	}
	return retryable(err)
}

func retryable(err error) error {
	return temporal.NewApplicationErrorWithCause(err.Error(), string(domain.CodeOf(err)), err)
}

func neverSucceeds(code domain.Code) bool {
	switch code {
	case domain.CodeInvalid, domain.CodeInternal, domain.CodeNotPaid, domain.CodeKeyReused:
		return true
	default:
		return false
	}
}
