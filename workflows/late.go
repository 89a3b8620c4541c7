package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
)

// LateInput is a captured payment that its checkout can no longer use.
type LateInput struct {
	Capture domain.Capture `json:"capture"`
	SaleID  string         `json:"sale,omitempty"` // empty if we do not know the order
	// Order is what the money was for; nil if we do not know it.
	Order *domain.Order `json:"order,omitempty"`
	// Rebook lets the payment buy seats if some are left.
	Rebook bool `json:"rebook"`
	// HoldMayStand: the checkout broke off, so its hold may still stand, or may even be
	// sold.
	HoldMayStand bool `json:"hold_may_stand,omitempty"`
	// Reason is the reason for the refund, unless there is another one.
	Reason domain.RefundReason `json:"reason"`
	// Unsealed: whoever started this may not have the payload key. Then it sells nothing,
	// and gives back what the provider says it took.
	Unsealed bool `json:"unsealed,omitempty"`
}

// MarkUnsealed implements codec.Unsealed.
func (l *LateInput) MarkUnsealed() { l.Unsealed = true }

// LateTerms decides what a capture is worth to a checkout that has ended. late is false
// if the order was settled with this very payment. The caller adds the order. It fails if
// the checkout has not ended, or ended in a way that this release does not know.
func LateTerms(state *domain.CheckoutState, capture domain.Capture) (input LateInput, late bool, err error) {
	input = LateInput{Capture: capture, SaleID: state.SaleID}
	if state.Payment == capture.Payment {
		return input, false, nil
	}
	if err := state.Status.Check(); err != nil {
		return input, false, err
	}
	terms := state.Status.Terms()
	switch terms.LateMoney {
	case domain.LateRebooks:
		input.Rebook = true
	case domain.LateRefunded:
	case domain.LateAwaited:
		return input, false, &domain.UnknownError{Op: "settle a late payment of", ID: state.Order.String(),
			Err: fmt.Errorf("its checkout is %s and takes payments itself", state.Status)}
	default:
		return input, false, fmt.Errorf("workflows/late.go: LateTerms does not know what %q means", terms.LateMoney)
	}
	input.Reason = terms.LateReason
	return input, true, nil
}

// Late deals with money that comes after the end: it buys the seats again if that is
// still wanted and some are left; otherwise the money goes back. Its result has status
// paid or refunded; or failed and released, where the payment was only authorised.
func Late(ctx workflow.Context, input LateInput) (domain.CheckoutState, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx) // a debt cannot be canceled
	l := &late{LateInput: input}
	if input.Unsealed {
		l.Unsealed = workflow.GetVersion(ctx, hintChange, workflow.DefaultVersion, 1) != workflow.DefaultVersion
	}
	l.enter(ctx, domain.OrderPending)
	if err := workflow.SetQueryHandler(ctx, StateQuery, func() (domain.CheckoutState, error) { return l.state, nil }); err != nil {
		return l.state, err
	}
	for _, next := range []func(workflow.Context) error{l.confirm, l.buy, l.giveBack} {
		if err := next(ctx); err != nil || l.state.Status == domain.OrderPaid {
			return l.state, err
		}
		if l.state.Released {
			break
		}
	}
	return l.state, workflow.UpsertTypedSearchAttributes(ctx, EndingAttribute.ValueSet(string(l.state.Status)))
}

// late is the state of one run.
type late struct {
	LateInput
	state     domain.CheckoutState
	confirmed bool // the provider has shown the payment
	waited    bool // already waited for the provider to show it
	untaken   bool // the provider does not know it
}

// enter moves the payment to a state and shows it.
func (l *late) enter(ctx workflow.Context, status domain.OrderStatus) {
	l.state = domain.CheckoutState{
		Order: l.Capture.Order, SaleID: l.SaleID, Status: status, Payment: l.Capture.Payment,
		Provider: domain.ProviderOf(l.Capture.Payment), Session: l.Capture.Session, PerkTaken: l.state.PerkTaken,
		AmountMinor: l.Capture.AmountMinor, Currency: l.Capture.Currency, Untaken: l.untaken,
	}
	if l.Order != nil {
		l.state.Lines = l.Order.Lines
	}
	if status == domain.OrderPaid || status == domain.OrderRefunded || status == domain.OrderFailed {
		l.state.Ended = workflow.Now(ctx)
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**%s**: %s (%s)", status, domain.FormatMoney(l.Capture.AmountMinor, l.Capture.Currency), l.Reason))
}

// confirm takes the provider's word for what it took, because an event may be wrong. A
// payment that the provider does not know stays as reported.
func (l *late) confirm(ctx workflow.Context) error {
	if err := l.ask(ctx); err != nil {
		return err
	}
	if l.Unsealed {
		if !l.confirmed {
			// It fails, because a workflow that completes would stand for the payment,
			// should it ever come.
			return temporal.NewNonRetryableApplicationError("its argument was not sealed, and the provider does not know the payment", "Unsealed", nil)
		}
		l.Rebook, l.Order = false, nil
	}
	if l.Order == nil || l.Capture.Pays(l.Order) {
		return nil
	}
	if err := l.awaitCapture(ctx); err != nil || l.Capture.Pays(l.Order) {
		return err
	}
	l.Rebook, l.Reason = false, domain.RefundWrongAmount
	return nil
}

// ask asks the provider what it took.
func (l *late) ask(ctx workflow.Context) error {
	left := time.Duration(0)
	if l.HoldMayStand && l.Order != nil { // until when the hold stands is not known any more
		left = l.Order.HoldTimeout + domain.HoldGraceDefault
	}
	found, err := findCapture(ctx, l.Capture.Session, left)
	if err == nil && found.Paid() && found.Capture.Payment == l.Capture.Payment {
		l.Capture, l.confirmed = found.Capture, true
	}
	return err
}

const whatWasTaken = "what did the provider take?"

// findCapture asks the provider what it took. If a hold depends on the answer, it tries
// more often for the time that is left.
func findCapture(ctx workflow.Context, session string, left time.Duration) (found activities.FoundCapture, err error) {
	answer, inTime := callProviderInTime(ctx, whatWasTaken, left, acts.FindCapture, session)
	err = answer.Get(ctx, &found)
	if inTime && isOutOfTime(err) {
		err = callProvider(ctx, whatWasTaken, acts.FindCapture, session).Get(ctx, &found)
	}
	return found, err
}

// awaitCaptureChange marks late payments that wait a little for the provider to show them
// before they go back. It is asked for only if the provider does not show one.
const awaitCaptureChange = "await-capture"

// capturePauses are the times between two questions: an event may be ahead of the
// provider's answers.
var capturePauses = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// awaitCapture gives the provider time to show the payment, once. What goes back must be
// what was taken: refunding a payment that the provider does not know yet would refund
// nothing.
func (l *late) awaitCapture(ctx workflow.Context) error {
	if l.confirmed || l.waited || workflow.GetVersion(ctx, awaitCaptureChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return nil
	}
	l.waited = true
	for _, pause := range capturePauses {
		timer := workflow.NewTimerWithOptions(ctx, pause, workflow.TimerOptions{Summary: "until the provider may know the payment"})
		if err := timer.Get(ctx, nil); err != nil {
			return err
		}
		if err := l.ask(ctx); err != nil || l.confirmed {
			return err
		}
	}
	return nil
}

// buy sells the order's seats to the payment, if that is still wanted.
func (l *late) buy(ctx workflow.Context) error {
	if !l.Rebook || l.Order == nil {
		return nil
	}
	if l.Capture.Authorized {
		return l.buyAuthorized(ctx)
	}
	bookings := []domain.Booking{domain.BookedByRebook}
	if l.HoldMayStand {
		bookings = []domain.Booking{domain.BookedByHold, domain.BookedByRebook}
	}
	for _, booking := range bookings {
		settled, err := sell(ctx, l.Order, l.Capture, booking, 0)
		if err != nil {
			return err
		}
		switch settled.Outcome {
		case activities.SettleSold:
			l.state.PerkTaken = settled.PerkTaken
			l.enter(ctx, domain.OrderPaid)
			return nil
		case activities.SettleSoldBefore, activities.SettleUnrecordable:
			_, l.Reason = settlement(settled.Outcome)
			return nil
		case activities.SettleRefunding:
			return nil
		case activities.SettleNoSeats:
			continue
		case activities.SettleUnpaid, activities.SettleBooked, activities.SettleUncaptured: // answers to other questions
		}
		leaveToOthers("settlement", settled.Outcome)
	}
	return nil
}

// sell runs one settlement, with more frequent tries while the hold lasts.
func sell(ctx workflow.Context, order *domain.Order, capture domain.Capture, booking domain.Booking, left time.Duration) (activities.Settled, error) {
	summary := "post the seats, take the perk, record the order"
	if booking == domain.BookedByRebook {
		summary = "take seats again, take the perk, record the order"
	}
	settlement := activities.Settlement{Order: *order, Capture: capture, Booking: booking, PaidAt: workflow.Now(ctx)}
	var settled activities.Settled
	if err := stepInTime(ctx, summary, left, acts.Settle, settlement, &settled); err != nil {
		return settled, fmt.Errorf("settle order %s: %w", order.ID, err)
	}
	return settled, nil
}

// giveBack records the debt, pays it, and records that it is paid. In that order, because
// money that is due must be visible the whole time.
func (l *late) giveBack(ctx workflow.Context) error {
	if l.Capture.Authorized {
		if err := l.giveUp(ctx); err != nil || l.state.Released {
			return err
		}
	}
	if err := l.awaitCapture(ctx); err != nil {
		return err
	}
	refund := domain.Refund{Capture: l.Capture, SaleID: l.SaleID, Reason: l.Reason, RequestedAt: workflow.Now(ctx)}
	var noted activities.RefundDue
	if err := owed(ctx, "note the refund as due", acts.RecordRefundDue, refund, &noted); err != nil {
		return err
	}
	if !noted.Due {
		l.enter(ctx, domain.OrderPaid) // it bought tickets after all
		return nil
	}
	l.enter(ctx, domain.OrderRefunding)
	var given activities.RefundGiven
	call := activities.RefundCall{Refund: refund, Confirmed: l.confirmed}
	if err := owed(ctx, "give the money back", acts.RefundPayment, call, &given); err != nil {
		return err
	}
	l.untaken = given.Untaken
	if noted.Unrecorded {
		l.enter(ctx, domain.OrderRefunded)
		return nil
	}
	done := activities.RefundDone{Payment: refund.Capture.Payment, At: workflow.Now(ctx)}
	if err := owed(ctx, "note the refund as done", acts.RecordRefundDone, done, nil); err != nil {
		return err
	}
	l.enter(ctx, domain.OrderRefunded)
	return nil
}

// lateOptions let the child outlive its checkout, and let one payment be dealt with once,
// whoever starts it.
func (c *checkout) lateOptions(ctx workflow.Context, capture domain.Capture, again enumspb.WorkflowIdReusePolicy) workflow.Context {
	return workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            LateID(c.order.ID, capture.Payment),
		WorkflowIDReusePolicy: again,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:         "late payment · " + Summary(&c.order),
		TypedSearchAttributes: temporal.NewSearchAttributes(SaleAttribute.ValueSet(c.order.SaleID)),
	})
}
