package checkouts

import (
	"context"
	"errors"
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// Pay delivers a verified event of the payment provider to its checkout. It returns nil
// only if the event has been dealt with or is durable. Errors: *domain.Error with
// CodeNotFound for an order and a session that nobody knows, with CodeOverloaded or
// CodeInvalid if the checkout refuses; *domain.UnknownError if the provider must deliver
// it again.
func (d *Desk) Pay(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error) {
	if event.Type == domain.PaymentReversed {
		return d.Reverse(ctx, event.Reversal)
	}
	status, err := d.payByUpdate(ctx, event)
	if domain.IsUnknown(err) {
		err = d.payBySignal(ctx, event)
		if err == nil {
			return domain.PayResult{Status: domain.OrderHeld}, nil
		}
	}
	if isNotFound(err) {
		return d.payAfterEnd(ctx, event)
	}
	return domain.PayResult{Status: status, Settled: err == nil}, err
}

func (d *Desk) payByUpdate(ctx context.Context, event domain.PaymentEvent) (domain.OrderStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, paymentTimeout)
	defer cancel()
	var answer workflows.PaymentAnswer
	// Update ids get a prefix: Temporal tells updates apart by id alone, and the provider
	// chooses the event's.
	err := d.update(ctx, event.Order, workflows.PaymentUpdate, "event/"+event.ID, &answer, event)
	if err == nil {
		err = answer.Status.Check()
	}
	return answer.Status, err
}

// payBySignal is the durable way in when no worker answers in time. The update may still
// take effect too: the checkout recognises the event by its id.
func (d *Desk) payBySignal(ctx context.Context, event domain.PaymentEvent) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), signalTimeout)
	defer cancel()
	err := d.temporal.SignalWorkflow(ctx, workflows.CheckoutID(event.Order), "", workflows.PaymentSignal, event)
	return fromTemporal("signal the payment of", event.Order.String(), err)
}

// payAfterEnd deals with an event whose checkout has closed, or never existed.
func (d *Desk) payAfterEnd(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error) {
	over, err := d.ended(ctx, event.Order)
	switch {
	case isNotFound(err):
		return d.payUnknownOrder(ctx, event)
	case err != nil:
		return domain.PayResult{}, err
	case !event.Type.Paid():
		return domain.PayResult{Status: over.Status, Settled: true}, nil
	}
	input, late, err := workflows.LateTerms(&over.CheckoutState, event.Capture())
	switch {
	case err != nil:
		return domain.PayResult{}, err
	case !late:
		return d.settledWith(ctx, over, input)
	}
	input.HoldMayStand = over.brokeOff
	if input.Rebook {
		if input.Order, err = d.placedOrder(ctx, event.Order); err != nil {
			return domain.PayResult{}, err
		}
		// Money in another provider's session buys nothing, just as while the checkout
		// was open.
		input.Rebook = input.Order.PaidIn(event.Session)
	}
	return d.startLate(ctx, input, over.Status)
}

// settledWith answers an event about the very payment that an order ended with. If that
// payment goes back, a record or a workflow has to show it. It is not enough that it was
// handed over once: the workflow that got it may have broken off.
func (d *Desk) settledWith(ctx context.Context, over ending, input workflows.LateInput) (domain.PayResult, error) {
	settled := domain.PayResult{Status: over.Status, Settled: true}
	switch {
	case over.Status != domain.OrderRefunding:
		return settled, nil
	case over.recorded:
		return settled, d.startRefund(ctx, over.Order, over.SaleID, domain.RefundByOrganiser)
	default:
		input.Reason = domain.RefundNoneLeft
		return d.startLate(ctx, input, over.Status)
	}
}

// An ending is the state of a checkout that is not open any more.
type ending struct {
	domain.CheckoutState
	recorded bool // in the database
	brokeOff bool // closed without a result: its hold may still stand
}

// ended returns the ending of an order whose checkout is not open. The database goes
// first: an order may have been sold, or sold and refunded, after its checkout ended.
// Errors: *domain.Error with CodeNotFound if nobody knows it.
func (d *Desk) ended(ctx context.Context, id domain.OrderID) (ending, error) {
	sold, err := d.orders.Order(ctx, id)
	switch {
	case isNotFound(err):
		over, err := d.closed(ctx, id)
		if domain.CodeOf(err) == domain.CodeKeyReused {
			err = domain.NotFound("order") // that checkout was another order's and sold nothing
		}
		return over, err
	case err != nil:
		return ending{}, err
	}
	return ending{recorded: true, CheckoutState: domain.CheckoutState{
		Order: id, SaleID: sold.SaleID, Status: sold.Status, Lines: sold.Lines, AmountMinor: sold.AmountMinor,
		Currency: sold.Currency, Payment: sold.Capture.Payment, PerkTaken: sold.PerkTaken, Ended: sold.PaidAt,
	}}, nil
}

// closed returns how a checkout closed. One that broke off counts as failed.
func (d *Desk) closed(ctx context.Context, id domain.OrderID) (ending, error) {
	state, err := d.result(ctx, workflows.CheckoutID(id))
	if !errors.Is(err, errBrokeOff) {
		return ending{CheckoutState: state}, err
	}
	order, err := d.placedOrder(ctx, id)
	if err != nil {
		return ending{}, err
	}
	return ending{brokeOff: true, CheckoutState: domain.CheckoutState{
		Order: id, SaleID: order.SaleID, Status: domain.OrderFailed, Lines: order.Lines, AmountMinor: order.AmountMinor,
		Currency: order.Currency, Fingerprint: order.Fingerprint,
	}}, nil
}

// payUnknownOrder is for an order that nobody knows, but perhaps with somebody's money;
// the provider knows. Before that money goes back, the ledger has to say whether it
// bought something: the database may have been restored to a moment before the record.
func (d *Desk) payUnknownOrder(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error) {
	if !event.Type.Paid() {
		return domain.PayResult{}, domain.NotFound("order")
	}
	capture, captured, err := d.provider.Capture(ctx, event.Session)
	if err != nil {
		return domain.PayResult{}, err
	}
	if !captured {
		return domain.PayResult{}, domain.NotFound("order")
	}
	if err := d.checkUnsold(ctx, event.Order); err != nil {
		return domain.PayResult{}, err
	}
	input := workflows.LateInput{Capture: capture, Reason: domain.RefundUnknownOrder}
	if _, err := d.startLate(ctx, input, domain.OrderRefunding); err != nil {
		return domain.PayResult{}, err
	}
	return domain.PayResult{Status: domain.OrderRefunding}, nil
}

// errRecordLost is why money stays for an order without a record.
var errRecordLost = errors.New("the ledger has sold or holds its seats, and there is no record of it: see `boxoffice verify` and `boxoffice restore-orders`")

// checkUnsold returns a *domain.UnknownError if an order that nobody knows has seats
// after all, and the ledger's own error if it does not answer.
func (d *Desk) checkUnsold(ctx context.Context, order domain.OrderID) error {
	fate, err := d.ledger.SeatFate(ctx, order)
	if err != nil {
		return err
	}
	switch fate {
	case domain.SeatsNeverHeld, domain.SeatsReleased, domain.SeatsReturned:
		return nil
	case domain.SeatsHeld, domain.SeatsSold:
		return &domain.UnknownError{Op: "pay", ID: order.String(), Err: errRecordLost}
	default:
		return &domain.UnknownError{Op: "pay", ID: order.String(), Err: fmt.Errorf("this release does not know the seats' fate %q", fate)}
	}
}

// startLate starts the workflow of a late payment, or finds the one that runs, and waits
// a little for its outcome. The payment is durable once it has started.
func (d *Desk) startLate(ctx context.Context, input workflows.LateInput, before domain.OrderStatus) (domain.PayResult, error) {
	id := workflows.LateID(input.Capture.Order, input.Capture.Payment)
	found, err := d.startLateAs(ctx, id, input, unlessDone)
	if err != nil {
		return domain.PayResult{}, err
	}
	waitCtx, cancel := context.WithTimeout(ctx, refundTimeout)
	defer cancel()
	state, err := d.result(waitCtx, id)
	if err == nil && found {
		var undone bool
		if undone, err = d.isUndone(ctx, input.Capture, &state); err != nil {
			return domain.PayResult{}, err
		}
		if undone {
			if _, err := d.startLateAs(ctx, id, input, unlessOpen); err != nil {
				return domain.PayResult{}, err
			}
			state, err = d.result(waitCtx, id)
		}
	}
	switch {
	case domain.IsUnknown(err):
		return domain.PayResult{Status: before}, nil // under way: the workflow has it
	case err != nil:
		return domain.PayResult{}, &domain.UnknownError{Op: "late payment", ID: id, Err: err} // deliver it again
	case input.Reason == domain.RefundSecondCapture, state.Released:
		return domain.PayResult{Status: before, Settled: true}, nil // the order itself stays as it was
	default:
		return domain.PayResult{Status: state.Status, Settled: true}, nil
	}
}

// isUndone reports whether a late payment has to be dealt with once more, although its workflow has ended: the provider did not
// know it then, and may now; or the orders database was put back to a moment before its refund was noted as done.
func (d *Desk) isUndone(ctx context.Context, capture domain.Capture, ended *domain.CheckoutState) (bool, error) {
	if ended.Untaken || ended.Released {
		return true, nil
	}
	if ended.Status != domain.OrderRefunded {
		return false, nil
	}
	refunds, err := d.orders.RefundsOfOrder(ctx, capture.Order)
	if err != nil {
		return false, err
	}
	noted := slices.ContainsFunc(refunds, func(r domain.Refund) bool { return r.Capture.Payment == capture.Payment && !r.RefundedAt.IsZero() })
	return !noted, nil
}

func (d *Desk) startLateAs(ctx context.Context, id string, input workflows.LateInput, again enumspb.WorkflowIdReusePolicy) (found bool, err error) {
	return d.startOwed(ctx, id, "late payment · "+string(input.Reason), input.SaleID, again, workflows.Late, input)
}

// Which of its earlier runs allow a workflow that gives money back to be started again.
const (
	// Any run that ended without a result: a debt is not forgotten.
	unlessDone = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
	// Any run that ended: the record says that it is not done, and the record counts.
	unlessOpen = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
)

// startOwed starts a workflow that gives money back, or finds the one that does.
func (d *Desk) startOwed(ctx context.Context, id, summary, saleID string, again enumspb.WorkflowIdReusePolicy, run, input any) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	attributes := temporal.NewSearchAttributes()
	if saleID != "" {
		attributes = temporal.NewSearchAttributes(workflows.SaleAttribute.ValueSet(saleID))
	}
	_, err = d.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                workflows.TaskQueue,
		WorkflowIDReusePolicy:                    again,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            summary,
		TypedSearchAttributes:                    attributes,
	}, run, input)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return true, nil
	}
	return false, fromTemporal("start", id, err)
}

// placedOrder reads what a closed checkout was about: the argument in the first event of
// its history.
func (d *Desk) placedOrder(ctx context.Context, id domain.OrderID) (*domain.Order, error) {
	var order domain.Order
	if err := d.argument(ctx, workflows.CheckoutID(id), &order); err != nil {
		return nil, err
	}
	return &order, nil
}

// argument reads what a workflow was started with. The error is a *domain.Error with
// CodeNotFound if Temporal does not know the workflow any more.
func (d *Desk) argument(ctx context.Context, workflowID string, argument any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	events := d.temporal.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	if !events.HasNext() {
		return domain.NotFound("order")
	}
	first, err := events.Next()
	if err != nil {
		return fromTemporal("read the history of", workflowID, err)
	}
	if err := d.payloads.FromPayloads(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), argument); err != nil {
		return &domain.Error{Code: domain.CodeInternal, Err: err}
	}
	return nil
}

// Refund gives a paid order's money back for the organiser. It returns refunded, or
// refunding while that is under way. Errors: *domain.Error with CodeNotFound or
// CodeNotPaid; *domain.UnknownError.
func (d *Desk) Refund(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	return d.RefundFor(ctx, id, domain.RefundByOrganiser)
}

// RefundFor is Refund for another reason. An order's first refund decides its reason.
func (d *Desk) RefundFor(ctx context.Context, id domain.OrderID, reason domain.RefundReason) (domain.OrderStatus, error) {
	sold, err := d.orders.Order(ctx, id)
	if err != nil {
		return "", err
	}
	if sold.Status == domain.OrderRefunded {
		return sold.Status, nil
	}
	if err := d.startRefund(ctx, id, sold.SaleID, reason); err != nil {
		return "", err
	}
	workflowID := workflows.RefundID(id)
	waitCtx, cancel := context.WithTimeout(ctx, refundTimeout)
	defer cancel()
	var status domain.OrderStatus
	err = fromTemporal("refund", workflowID, d.temporal.GetWorkflow(waitCtx, workflowID, "").Get(waitCtx, &status))
	switch {
	case domain.IsUnknown(err):
		return domain.OrderRefunding, nil // under way: the workflow has it
	case err != nil:
		return "", err
	default:
		return status, status.Check()
	}
}

// startRefund is for orders whose record says that they are not refunded.
func (d *Desk) startRefund(ctx context.Context, id domain.OrderID, saleID string, reason domain.RefundReason) error {
	input := workflows.RefundInput{Order: id, Reason: reason}
	_, err := d.startOwed(ctx, workflows.RefundID(id), "refund · "+saleID, saleID, unlessOpen, workflows.Refund, input)
	return err
}
