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

// A Ledger books the seats. Its verdicts are values; an error means that there is no
// verdict. The error is a *domain.UnknownError (repeat it, with the same ids), a
// *domain.Error with CodeOverloaded (nothing was sent), or a *domain.Error with
// CodeInternal (the request can never succeed: our fault).
type Ledger interface {
	Hold(ctx context.Context, order *domain.Order) (domain.Hold, error)
	Post(ctx context.Context, order *domain.Order) (domain.PostOutcome, error)
	Void(ctx context.Context, order *domain.Order) (domain.VoidOutcome, error)
	TakePerk(ctx context.Context, order *domain.Order) (bool, error)
	Rebook(ctx context.Context, order *domain.Order) (domain.RebookOutcome, error)
	Return(ctx context.Context, order *domain.SoldOrder) error
	// Unsell takes back a booking that was never recorded, with its perk; the seats are
	// never sold to that order again. It stores the reason and returns the reason stored
	// first.
	Unsell(ctx context.Context, order *domain.Order, booking domain.Booking, why domain.UnsoldReason) (domain.UnsoldReason, error)
	// SeatFate only reads: whether anything was sold to the order.
	SeatFate(ctx context.Context, order domain.OrderID) (domain.SeatFate, error)
}

// Orders records what was sold and what went back. Every method is idempotent.
type Orders interface {
	// Record returns a *domain.Error: with CodeExists if another payment bought the order
	// or this payment goes back; with CodeInvalid or CodeInternal if the order can never
	// be recorded.
	Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error)
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
	BeginOrderRefund(ctx context.Context, order domain.OrderID, reason domain.RefundReason, at time.Time) (domain.SoldOrder, error)
	// BeginRefund returns a *domain.Error: with CodeExists if the payment bought tickets;
	// with CodeInvalid or CodeInternal if it did not, and the refund can never be
	// recorded.
	BeginRefund(ctx context.Context, refund domain.Refund) error
	FinishRefund(ctx context.Context, payment string, at time.Time) error
}

// A Provider takes payments. It is a payments.Set, which documents what it promises. Open
// opens a session at the given provider. Expire is atomic with paying. Capture reports
// what was taken or authorised in a session, and false if nothing was or the session is
// unknown. Refund returns a *domain.Error with CodeNotFound if the provider never took
// that payment.
type Provider interface {
	Open(ctx context.Context, provider string, opening payments.Opening) (domain.PayPage, error)
	Expire(ctx context.Context, session string) (domain.ExpireOutcome, error)
	Capture(ctx context.Context, session string) (domain.Capture, bool, error)
	Refund(ctx context.Context, refund domain.Refund) error
	// CaptureAuthorized takes what is authorised in a session, ReleaseAuthorized gives it
	// up. Whichever comes first decides, for good.
	CaptureAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error)
	ReleaseAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error)
}

// Endings tell others of checkouts that held seats and ended without a sale, where anybody
// wants to know. It may be repeated: each is told once.
type Endings interface {
	CheckoutEnded(ctx context.Context, order *domain.Order, ending domain.OrderStatus) error
}

// A Flag marks something that went right for the buyer and still needs an operator.
type Flag string

// The flags.
const (
	FlagUnrecordable      Flag = "unrecordable"       // the database will never take a paid order: seats go back, money goes back
	FlagUnpaidPost        Flag = "unpaid_post"        // seats were sold, but nobody has money for them: seats go back
	FlagWrongAmount       Flag = "wrong_amount"       // captured for another amount or currency than the order's: it goes back
	FlagUnrecordedRefund  Flag = "unrecorded_refund"  // the database will never take a refund: the money goes back without a record
	FlagRefundUnknown     Flag = "refund_unknown"     // the provider does not know a payment that should go back
	FlagStuck             Flag = "stuck"              // a step that holds or owes money hit a fault of ours: it is retried until it succeeds
	FlagDisputed          Flag = "disputed"           // a bank disputes a payment, or has decided
	FlagRefundedElsewhere Flag = "refunded_elsewhere" // somebody refunded a payment at the provider
	FlagRecordLost        Flag = "record_lost"        // the ledger sold the seats, but the database has no record: the money stays until it does
)

// Flags lists every flag.
var Flags = []Flag{
	FlagUnrecordable, FlagUnpaidPost, FlagWrongAmount, FlagUnrecordedRefund, FlagRefundUnknown, FlagStuck, FlagRecordLost, FlagDisputed, FlagRefundedElsewhere,
}

// Activities are the activities of the task queue. Its exported methods are registered
// under their own names.
type Activities struct {
	Ledger   Ledger
	Orders   Orders
	Provider Provider
	// Notices tells this process about holds as they happen. Nil if no API runs here.
	Notices *HoldNotices
	// Flagged is called with what an operator must look into, and why; again if an
	// activity is repeated. It may be nil.
	Flagged func(flag Flag, order domain.OrderID, why error)
	// Endings may be nil: nobody wants to know.
	Endings Endings
	// SaleCancel has more activities, with options of its own.
	SaleCancel
}

func (a *Activities) flag(flag Flag, order domain.OrderID, why error) {
	if a.Flagged != nil {
		a.Flagged(flag, order, why)
	}
}

// HoldRequest asks for an order's seats. Workers of earlier releases take an Order, which
// has the same fields.
type HoldRequest struct {
	domain.Order
	// When the checkout began and when it asked for its seats, by Temporal's clock.
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

// placedAt is when the hold was placed, by Temporal's clock, because the checkout waits
// by that clock. The ledger's timestamp comes from another clock. It counts only within
// what Temporal's clock says is possible; it tells a hold placed just now from one that
// an earlier attempt placed before an outage. So whatever the ledger's clock says, no
// buyer has less time than from the start of the checkout, and the hold outlives the
// deadline by its grace, minus the difference of the clocks. Asking again never gives an
// earlier answer than before.
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

// askedAt is when this attempt began. Only a regular activity knows that by Temporal's
// clock; a local one is retried for a few seconds at most.
func askedAt(ctx context.Context, r *HoldRequest) time.Time {
	if !activity.IsActivity(ctx) {
		return r.AskedAt
	}
	if info := activity.GetInfo(ctx); !info.IsLocalActivity && info.StartedTime.After(r.AskedAt) {
		return info.StartedTime
	}
	return r.AskedAt
}

// Settlement asks to sell an order for a capture.
type Settlement struct {
	Order   domain.Order   `json:"order"`
	Capture domain.Capture `json:"capture"`
	Booking domain.Booking `json:"booking"`
	PaidAt  time.Time      `json:"paid_at"`
}

// Settled says what happened to the capture.
type Settled struct {
	Outcome   SettleOutcome `json:"outcome"`
	PerkTaken bool          `json:"perk_taken,omitempty"`
	// Payment is the one that bought the order. It is another one in SettleSoldBefore.
	Payment string `json:"payment,omitempty"`
}

// SettleOutcome is definite. Except for SettleSold, nothing was sold for the capture, and
// nothing is left behind.
type SettleOutcome string

// The outcomes of a settlement.
const (
	SettleSold       SettleOutcome = "sold"        // to this capture, now or by an earlier try
	SettleNoSeats    SettleOutcome = "no_seats"    // the hold is gone (BookedByHold), or no seats are left (BookedByRebook)
	SettleSoldBefore SettleOutcome = "sold_before" // another payment bought the order
	SettleRefunding  SettleOutcome = "refunding"   // this payment is on its way back
	// SettleUnrecordable: the database will never take the order.
	SettleUnrecordable SettleOutcome = "unrecordable"
	// SettleUnpaid: nobody had paid, see Unsell.
	SettleUnpaid SettleOutcome = "unpaid"
	// SettleBooked: the seats are the order's, and the money is still to be captured, see
	// BookSeats.
	SettleBooked SettleOutcome = "booked"
	// SettleUncaptured: the money could not be captured, see ReturnUncaptured.
	SettleUncaptured SettleOutcome = "uncaptured"
)

// Settle sells the order: seats, then perk, then the record with its tickets. They are
// one activity because each is idempotent, and running all again repairs a crash between
// them; three activities would only make the history longer. The order of the steps
// matters: a ticket is never recorded before its seat is sold. If an earlier attempt took
// the sale back, or began to, Settle finishes that and returns the same answer.
func (a *Activities) Settle(ctx context.Context, s Settlement) (Settled, error) {
	if unsold, areSold, err := a.sellSeats(ctx, &s); err != nil || !areSold {
		return unsold, err
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

// undo is for a payment that cannot buy the order, or whose seats already went back. If a
// payment has bought the order, the seats belong to that one; otherwise they were taken
// for nothing and go back. It returns the first stored reason why they did.
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
	case domain.UnsoldNotSaid, domain.UnsoldUnpaid, domain.UnsoldUncaptured: // refunded, or given back because nobody paid: never sold to it again
		return Settled{Outcome: SettleNoSeats}, nil
	default:
		return Settled{}, a.whileOwed(s.Order.ID, notKnown("why the seats went back", unsold))
	}
}

// notKnown is the error for a value from another part that this release does not know. It
// is our fault, and no reason to refuse or to give money back.
func notKnown[T ~string](what string, value T) error {
	return &domain.Error{Code: domain.CodeInternal, Err: fmt.Errorf("%s: this release does not know %q", what, string(value))}
}

// errUnpaid is why we give back seats for which we find no payment.
var errUnpaid = errors.New("the ledger has sold the seats; neither the provider nor the database knows of a payment")

// FindSale says which payment the order was recorded with: SettleSoldBefore, or
// SettleUnpaid if there is none.
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

// Unsell gives back the seats of an order whose hold was posted although no payment can
// be found. It returns SettleUnpaid, or SettleSoldBefore if the order was recorded after
// all.
func (a *Activities) Unsell(ctx context.Context, end EndRequest) (Settled, error) {
	settled, err := a.undo(ctx, &Settlement{Order: end.Order, Booking: domain.BookedByHold}, domain.UnsoldUnpaid)
	if err != nil || settled.Outcome == SettleSoldBefore {
		return settled, err
	}
	a.flag(FlagUnpaidPost, end.ID, errUnpaid)
	return Settled{Outcome: SettleUnpaid}, a.whileOwed(end.ID, a.tellEnding(ctx, &end))
}

// sellSeats is the first step of every sale. If the seats are not sold, it answers what became of the order.
func (a *Activities) sellSeats(ctx context.Context, s *Settlement) (unsold Settled, areSold bool, err error) {
	booked, err := a.bookSeats(ctx, s)
	switch {
	case err != nil:
		return Settled{}, false, a.whileOwed(s.Order.ID, err)
	case booked == seatsReturned:
		unsold, err = a.undo(ctx, s, domain.UnsoldNotSaid)
		return unsold, false, err
	case booked == seatsGone:
		return Settled{Outcome: SettleNoSeats}, false, nil
	default:
		return Settled{}, true, nil
	}
}

// seats is what the ledger says about the seats of a settlement.
type seats int

const (
	seatsGone seats = iota // not sold: the hold is gone, or none is left
	seatsBooked
	seatsReturned // they were sold, and went back
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

// EndRequest asks to give an order's seats back, because its checkout ends so. Workers of
// earlier releases take an Order, which has the same fields.
type EndRequest struct {
	domain.Order
	Ending domain.OrderStatus `json:"ending,omitempty"` // empty: of an earlier release
}

// Release gives the order's seats back, and then tells whoever wants to know.
func (a *Activities) Release(ctx context.Context, end EndRequest) (domain.VoidOutcome, error) {
	outcome, err := a.Ledger.Void(ctx, &end.Order)
	if err == nil && outcome == domain.VoidVoided {
		err = a.tellEnding(ctx, &end)
	}
	return outcome, a.whileOwed(end.ID, err)
}

// tellEnding comes after the ledger has the seats again: whatever the database does, they
// are on sale.
func (a *Activities) tellEnding(ctx context.Context, end *EndRequest) error {
	if a.Endings == nil || end.Ending == "" {
		return nil
	}
	return a.Endings.CheckoutEnded(ctx, &end.Order, end.Ending)
}

// SessionToOpen asks for a session in which an order is paid.
type SessionToOpen struct {
	Provider string           `json:"provider"`
	Opening  payments.Opening `json:"opening"`
}

// OpenSession opens a session in which an order is paid, or finds it. The order and the
// attempt are its key.
func (a *Activities) OpenSession(ctx context.Context, open SessionToOpen) (domain.PayPage, error) {
	page, err := a.Provider.Open(ctx, open.Provider, open.Opening)
	return page, forWorkflow(err)
}

// A Session is the id of a payment session, as an argument. Releases in which sessions
// had no ids of their own wrote the order's id here.
type Session string

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Session) UnmarshalText(text []byte) error {
	*s = Session(text)
	if order, err := domain.ParseOrderID(string(text)); err == nil {
		*s = Session((&domain.Order{ID: order}).PaymentSession())
	}
	return nil
}

// ExpireSession forbids any further payment in a session, unless one was already
// captured. The provider decides which, atomically.
func (a *Activities) ExpireSession(ctx context.Context, session Session) (domain.ExpireOutcome, error) {
	outcome, err := a.Provider.Expire(ctx, string(session))
	return outcome, fromProvider(err)
}

// ExpireUnlessProcessing is ExpireSession for a checkout that can wait for a payment which
// is being processed: it says so, where ExpireSession fails until that is decided.
func (a *Activities) ExpireUnlessProcessing(ctx context.Context, session Session) (domain.ExpireOutcome, error) {
	outcome, err := a.Provider.Expire(ctx, string(session))
	if errors.Is(err, payments.ErrProcessing) {
		return domain.ExpireOutcome{Processing: true}, nil
	}
	return outcome, fromProvider(err)
}

// FoundCapture is what the provider took in a session, or authorised, if anything.
// Workers of earlier releases see nothing in what is authorised.
type FoundCapture struct {
	Captured   bool           `json:"captured"`
	Authorized bool           `json:"authorized,omitempty"`
	Capture    domain.Capture `json:"capture,omitzero"`
}

// Paid reports whether the buyer has paid.
func (f FoundCapture) Paid() bool { return f.Captured || f.Authorized }

// FindCapture asks the provider what it took in a session.
func (a *Activities) FindCapture(ctx context.Context, session string) (FoundCapture, error) {
	capture, paid, err := a.Provider.Capture(ctx, session)
	return FoundCapture{Captured: paid && !capture.Authorized, Authorized: paid && capture.Authorized, Capture: capture}, fromProvider(err)
}

// RefundDue says whether a payment goes back. It does not if it bought tickets after all.
type RefundDue struct {
	Due bool `json:"due"`
	// Unrecorded: the database refuses the record, and the payment goes back without one.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// RecordRefundDue records that a payment which bought no ticket goes back, before the
// provider is told, so that an operator can see it while it is due. It is the last step
// before money moves, so it checks for itself that nothing was sold for the payment.
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

// checkUnsold looks for positive evidence that a payment bought nothing: the ledger sold
// no seats to its order, or gave them back, or the order's record says which payment
// bought it. It fails while there is no such evidence: the database may have been
// restored to an earlier moment, or somebody is selling the seats right now. The error is
// unknown, so the step is retried and the money stays.
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
			return nil // its checkout decides what this money buys
		}
		return &domain.UnknownError{Op: "refund", ID: refund.Capture.Payment,
			Err: fmt.Errorf("the ledger still holds seats for order %s, of which nothing else is known: its money stays until the hold has ended", id)}
	case domain.SeatsSold: // sold to another payment, if the record says so
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
		if !activity.IsActivity(ctx) || activity.GetInfo(ctx).Attempt > 1 { // the record may be about to come
			a.flag(FlagRecordLost, id, lost)
		}
		return &domain.UnknownError{Op: "refund", ID: refund.Capture.Payment, Err: lost}
	}
	return err
}

// RecordOrderRefundDue sets a paid order to refunding and returns the refund.
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

// RefundCall asks the provider to give a payment back.
type RefundCall struct {
	domain.Refund
	// Confirmed: the payment bought tickets, or the provider has shown that it took it.
	Confirmed bool `json:"confirmed,omitempty"`
}

// RefundGiven says what the provider did.
type RefundGiven struct {
	// Untaken: it gave nothing back, because it does not know the payment. Only an event
	// ever named that payment.
	Untaken bool `json:"untaken,omitempty"`
}

// RefundPayment tells the provider to give the money back. If the provider has shown the
// payment before and does not know it now, it stays due: another account may be
// answering. A payment that only an event named may never have been taken.
func (a *Activities) RefundPayment(ctx context.Context, refund RefundCall) (RefundGiven, error) {
	if refund.Capture.IsFree() {
		return RefundGiven{}, nil // nobody paid, so nobody is asked
	}
	err := a.Provider.Refund(ctx, refund.Refund)
	if domain.CodeOf(err) != domain.CodeNotFound {
		return RefundGiven{}, inTime(fromProvider(err), err)
	}
	unknown := fmt.Errorf("the provider does not know payment %s, which has to go back: is this the account that took it? %w", refund.Capture.Payment, err)
	a.flag(FlagRefundUnknown, refund.Capture.Order, unknown)
	if refund.Confirmed {
		return RefundGiven{}, fromProvider(unknown)
	}
	return RefundGiven{Untaken: true}, nil
}

// ReturnSeats puts the seats of a refunded order back on sale.
func (a *Activities) ReturnSeats(ctx context.Context, order domain.SoldOrder) error {
	err := a.Ledger.Return(ctx, &order)
	if isForGood(err) {
		err = a.returnAsRecorded(ctx, order, err)
	}
	return a.whileOwed(order.ID, err)
}

// returnAsRecorded returns the seats of an order that was booked anew since the workflow
// read it, because the ledger was lost: the record knows. Else the refusal stands.
func (a *Activities) returnAsRecorded(ctx context.Context, order domain.SoldOrder, refused error) error {
	recorded, err := a.Orders.Order(ctx, order.ID)
	if err != nil || recorded.Booking == order.Booking {
		return refused
	}
	order.Booking = recorded.Booking
	return a.Ledger.Return(ctx, &order)
}

// RefundDone closes a refund.
type RefundDone struct {
	Payment string    `json:"payment"`
	At      time.Time `json:"at"`
}

// RecordRefundDone records that the money went back.
func (a *Activities) RecordRefundDone(ctx context.Context, done RefundDone) error {
	return a.whileOwed(domain.OrderID{}, a.Orders.FinishRefund(ctx, done.Payment, done.At))
}

// forWorkflow gives an error the type name that the workflow's retry policies and the Web
// UI see: the domain's code. Only an error that can never succeed is not retried.
func forWorkflow(err error) error {
	if err == nil {
		return nil
	}
	if isForGood(err) {
		return temporal.NewNonRetryableApplicationError(err.Error(), string(domain.CodeOf(err)), err)
	}
	return retryable(err)
}

// whileOwed is forWorkflow for steps that hold or owe money. A fault of ours, such as a
// status of the ledger that this release does not know, must not end a workflow that has
// somebody's money. It is flagged, and retried until a newer release knows better.
func (a *Activities) whileOwed(order domain.OrderID, err error) error {
	if code := domain.CodeOf(err); !isForGood(err) || code == domain.CodeNotPaid || code == domain.CodeKeyReused {
		return forWorkflow(err)
	}
	a.flag(FlagStuck, order, err)
	return retryable(err)
}

// isForGood reports whether repeating the step can never help.
func isForGood(err error) bool {
	var definite *domain.Error
	return errors.As(err, &definite) && neverSucceeds(domain.CodeOf(err))
}

// fromProvider is for calls that are owed. Whatever the provider refuses today, the money
// stays due, and the call is repeated where an operator can see it.
func fromProvider(err error) error {
	if err == nil {
		return nil
	}
	return retryable(err)
}

// inTime has the call repeated when the provider takes requests again, where it says when.
// The workflow's own backoff, up to minutes, is for trouble of which nobody knows the end.
func inTime(failure, err error) error {
	var refused *domain.Error
	if !errors.As(err, &refused) || refused.Code != domain.CodeOverloaded || refused.RetryAfter <= 0 {
		return failure
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), string(refused.Code), temporal.ApplicationErrorOptions{
		NextRetryDelay: refused.RetryAfter, Cause: err,
	})
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
