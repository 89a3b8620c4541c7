package checkouts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/failpoint"
	"boxoffice/workflows"
)

// Orders is what the desk must know of the database: an order that was sold
// outlives its workflow.
type Orders interface {
	// Order answers a *domain.Error with CodeNotFound for an order that was
	// never sold.
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
}

// Provider is asked about money for orders that are unknown here, and for the sessions
// of new ones. A payments.Set is one.
type Provider interface {
	Capture(ctx context.Context, session string) (domain.Capture, bool, error)
	// SessionOf is an order's session where the provider derives it, else false.
	SessionOf(provider string, order domain.OrderID) (string, bool)
	Has(provider string) bool
}

// Ledger is asked what was sold to an order that is unknown here.
type Ledger interface {
	SeatFate(ctx context.Context, order domain.OrderID) (domain.SeatFate, error)
}

// Timeouts of the desk. Each bounds one wait of one request.
const (
	// startTimeout bounds the call that starts a workflow.
	startTimeout = 10 * time.Second
	// noticeTimeout is how long the answer may come from this very process
	// before the workflow is asked over Temporal: another node may have it.
	noticeTimeout = 250 * time.Millisecond
	// holdTimeout bounds the wait for the ledger's answer; after it the
	// buyer is told "unknown" and repeats the same key.
	holdTimeout = 8 * time.Second
	// replayTimeout is the same for a repeated key: it is "in flight" sooner.
	replayTimeout = 2 * time.Second
	// paymentTimeout is how long a webhook waits for its checkout to settle
	// before the event is left as a durable signal.
	paymentTimeout = 5 * time.Second
	// signalTimeout bounds that signal.
	signalTimeout = 5 * time.Second
	// askTimeout bounds a question (state, history).
	askTimeout = 5 * time.Second
	// cancelTimeout is how long a cancel waits for the provider's word.
	cancelTimeout = 10 * time.Second
	// openTimeout is how long a buyer waits for the provider's page: as long as the
	// checkout lets the provider try, and a little.
	openTimeout = 10 * time.Second
	// refundTimeout is how long a refund or a late payment is awaited before
	// the answer is "under way".
	refundTimeout = 3 * time.Second
)

// retryAfter is what a client is told when nothing better is known.
const retryAfter = time.Second

// Desk starts and asks checkouts. It is safe for concurrent use.
type Desk struct {
	temporal client.Client
	notices  *activities.HoldNotices // nil where no worker runs in this process
	orders   Orders
	provider Provider
	ledger   Ledger
	payloads converter.DataConverter
}

// NewDesk wires a desk. Without notices every answer to a hold comes from the
// workflow's Update. The converter is the client's own, which the client does
// not give out: histories are read with it.
func NewDesk(temporal client.Client, payloads converter.DataConverter, notices *activities.HoldNotices, orders Orders, provider Provider, ledger Ledger) *Desk {
	return &Desk{temporal: temporal, payloads: payloads, notices: notices, orders: orders, provider: provider, ledger: ledger}
}

// Start places an order and answers with its hold as soon as the ledger has
// spoken, while the workflow runs on. The same order again is answered again,
// never placed again. Errors: *domain.Error with CodeKeyReused, CodeInFlight or
// CodeOverloaded (nothing was started); *domain.UnknownError when the outcome
// is not known and the same key must be repeated.
func (d *Desk) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	if order.Provider != "" { // else from before orders named it
		if !d.provider.Has(order.Provider) {
			return domain.HoldAnswer{}, notConfigured(&order)
		}
		if session, derived := d.provider.SessionOf(order.Provider, order.ID); derived {
			order.Session = session
		}
	}
	notice, cancel := d.notices.Subscribe(order.ID)
	defer cancel()
	err := d.startCheckout(ctx, &order)
	switch {
	case temporal.IsWorkflowExecutionAlreadyStartedError(err):
		hold, err := d.askHold(ctx, &order, replayTimeout)
		return domain.HoldAnswer{Hold: hold, Replayed: true}, inFlight(err)
	case isExhausted(err):
		return domain.HoldAnswer{}, overloaded(err)
	case err != nil:
		return domain.HoldAnswer{}, fromTemporal("start checkout", order.ID.String(), err)
	}
	if hold, ok := awaitNotice(ctx, notice); ok {
		return domain.HoldAnswer{Hold: hold}, nil
	}
	hold, err := d.askHold(ctx, &order, holdTimeout)
	return domain.HoldAnswer{Hold: hold}, err
}

// notConfigured: a hold that nobody could pay for is not begun.
func notConfigured(order *domain.Order) error {
	return &domain.Error{
		Code: domain.CodeOverloaded, RetryAfter: time.Minute,
		Detail: "The payment provider of this sale is not configured. Nothing was held.",
		Err:    fmt.Errorf("sale %s: payment provider %q is not in BOXOFFICE_PAYMENT_PROVIDERS", order.SaleID, order.Provider),
	}
}

// startCheckout goes on when its buyer hangs up: the answer brings the first workflow
// task, and nobody else gets that until its timeout is over. The same key would hear
// "in flight" for as long.
func (d *Desk) startCheckout(ctx context.Context, order *domain.Order) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	failpoint.Before("checkout", "start")
	_, err := d.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:        workflows.CheckoutID(order.ID),
		TaskQueue: workflows.TaskQueue,
		// One order is one checkout, for as long as Temporal remembers it.
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		// The first workflow task comes back with the start's own answer when
		// a worker of this process is free: no trip through matching.
		EnableEagerStart:      true,
		StaticSummary:         workflows.Summary(order),
		TypedSearchAttributes: temporal.NewSearchAttributes(workflows.SaleAttribute.ValueSet(order.SaleID)),
		// No execution timeout: a checkout that was paid must end right,
		// however long an outage lasts.
	}, workflows.Checkout, *order)
	failpoint.After("checkout", "start")
	return err
}

func awaitNotice(ctx context.Context, notice <-chan domain.Hold) (domain.Hold, bool) {
	if notice == nil {
		return domain.Hold{}, false
	}
	timer := time.NewTimer(noticeTimeout)
	defer timer.Stop()
	select {
	case hold := <-notice:
		return hold, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return domain.Hold{}, false
}

// askHold asks the workflow. The update's id is the fingerprint's: however often
// a key is repeated, it enters the history once.
func (d *Desk) askHold(ctx context.Context, order *domain.Order, timeout time.Duration) (domain.Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var hold domain.Hold
	err := d.update(ctx, order.ID, workflows.AwaitHoldUpdate, "hold/"+order.Fingerprint, &hold, order.Fingerprint)
	if !isNotFound(err) {
		return checked(hold, err)
	}
	state, err := d.result(ctx, workflows.CheckoutID(order.ID))
	if err != nil {
		return domain.Hold{}, err
	}
	if state.Fingerprint != order.Fingerprint {
		return domain.Hold{}, keyReused()
	}
	return checked(state.Hold, nil)
}

// checked: a newer worker may answer what this release does not know, which is no no.
func checked(hold domain.Hold, err error) (domain.Hold, error) {
	if err != nil {
		return hold, err
	}
	_, err = hold.Outcome.Status()
	return hold, err
}

func keyReused() error {
	return &domain.Error{Code: domain.CodeKeyReused, Detail: "This Idempotency-Key was used before with another body. A new order takes a new key."}
}

// inFlight: a repeated key whose first request is still being worked on is not
// a failure of the repeat.
func inFlight(err error) error {
	if !domain.IsUnknown(err) {
		return err
	}
	return &domain.Error{
		Code: domain.CodeInFlight, RetryAfter: retryAfter, Err: err,
		Detail: "The first request with this Idempotency-Key is still being worked on. Repeat it in a moment.",
	}
}

// State tells how an order's checkout stands: an open one is asked, a closed
// one answers by its result. Errors: *domain.Error with CodeNotFound when
// Temporal knows no such checkout (any more); *domain.UnknownError.
func (d *Desk) State(ctx context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	workflowID := workflows.CheckoutID(id)
	described, err := d.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return domain.CheckoutState{}, fromTemporal("describe checkout", id.String(), err)
	}
	if standingOf(described.GetWorkflowExecutionInfo().GetStatus()) != standingOpen {
		state, err := d.closed(ctx, id)
		return state.CheckoutState, err
	}
	var state domain.CheckoutState
	value, err := d.temporal.QueryWorkflow(ctx, workflowID, "", workflows.StateQuery)
	if err == nil {
		err = value.Get(&state)
	}
	if err == nil {
		err = state.Status.Check()
	}
	return state, fromTemporal("query checkout", id.String(), err)
}

// result reads how a closed workflow ended, without needing a worker.
func (d *Desk) result(ctx context.Context, workflowID string) (domain.CheckoutState, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var state domain.CheckoutState
	err := d.temporal.GetWorkflow(ctx, workflowID, "").Get(ctx, &state)
	if err == nil {
		err = state.Status.Check()
	}
	return state, fromTemporal("result of", workflowID, err)
}

// Cancel gives an order up for its buyer and answers how it ended: canceled, or
// failed or expired before. Errors: *domain.Error with CodeAlreadyPaid, and as
// for State.
func (d *Desk) Cancel(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()
	var answer workflows.PaymentAnswer
	err := d.update(ctx, id, workflows.CancelUpdate, "cancel", &answer)
	if isNotFound(err) {
		var over ending
		over, err = d.ended(ctx, id)
		answer.Status = over.Status
	}
	if err == nil {
		err = answer.Status.Check()
	}
	if err == nil && answer.Status.Sold() {
		return answer.Status, &domain.Error{Code: domain.CodeAlreadyPaid, Detail: "The order was paid before it could be canceled."}
	}
	return answer.Status, err
}

// OpenPayment opens the page where a held order is paid, or finds it. Its session is
// durable before it is answered. Errors: *domain.Error with CodeAlreadyPaid or
// CodeNotFound where the order is not held any more, CodeOverloaded;
// *domain.UnknownError: the provider did not answer in time, ask again.
func (d *Desk) OpenPayment(ctx context.Context, id domain.OrderID, wish domain.PayWish) (domain.PayPage, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	var answer workflows.PayAnswer
	err := d.update(ctx, id, workflows.OpenSessionUpdate, "open/"+uuid.NewString(), &answer, wish)
	switch {
	case err != nil:
		return domain.PayPage{}, err
	case answer.Status.Sold():
		return domain.PayPage{}, &domain.Error{Code: domain.CodeAlreadyPaid, Detail: "The order was paid before."}
	case answer.Status != domain.OrderHeld:
		return domain.PayPage{}, &domain.Error{Code: domain.CodeNotFound, Detail: "The order is not held any more."}
	}
	return answer.Page, nil
}

// update sends an Update and waits for its answer.
func (d *Desk) update(ctx context.Context, id domain.OrderID, name, updateID string, answer any, args ...any) error {
	handle, err := d.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID:   workflows.CheckoutID(id),
		UpdateName:   name,
		UpdateID:     updateID,
		Args:         args,
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, answer)
	}
	if code, refused := workflows.CodeOfRejection(err); refused {
		return rejected(code, err)
	}
	return fromTemporal(name, id.String(), err)
}

func rejected(code domain.Code, err error) error {
	switch code {
	case domain.CodeKeyReused:
		return keyReused()
	case domain.CodeOverloaded:
		return &domain.Error{Code: code, Detail: "Too many events for one order.", RetryAfter: retryAfter, Err: err}
	case domain.CodeInvalid:
		return &domain.Error{Code: code, Detail: "The event is not about this order.", Err: err}
	default:
		return &domain.UnknownError{Op: "update", Err: err} // it broke off: nobody knows how far
	}
}

// fromTemporal sorts Temporal's errors into ours: definite (not found, refused,
// failed) or unknown.
func fromTemporal(op, id string, err error) error {
	var (
		notFound *serviceerror.NotFound
		refused  *serviceerror.InvalidArgument
		failed   *temporal.WorkflowExecutionError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &notFound):
		return &domain.Error{Code: domain.CodeNotFound, Detail: "There is no such order.", Err: err}
	case errors.As(err, &refused):
		return &domain.Error{Code: domain.CodeInternal, Err: err}
	case errors.As(err, &failed):
		return failure(err)
	default:
		return &domain.UnknownError{Op: op, ID: id, Err: err}
	}
}

// isExhausted: Temporal refused for load. That is definite for a start alone; of
// an update, the SDK may ask again after it was accepted.
func isExhausted(err error) bool {
	var exhausted *serviceerror.ResourceExhausted
	return errors.As(err, &exhausted)
}

func overloaded(err error) error {
	return &domain.Error{
		Code: domain.CodeOverloaded, RetryAfter: retryAfter, Err: err,
		Detail: "The box office is at its limit. Repeat the request with the same Idempotency-Key.",
	}
}

// errBrokeOff marks a workflow that closed without a result: failed, terminated
// or timed out.
var errBrokeOff = errors.New("the workflow broke off")

// failure is why a workflow failed: a request that can never succeed. The
// ledger refuses a key whose order it held for another body before Temporal's
// retention; anything else is a bug of ours, or an operator's doing.
func failure(err error) error {
	if code, _ := workflows.CodeOfRejection(err); code == domain.CodeKeyReused {
		return keyReused()
	}
	return &domain.Error{Code: domain.CodeInternal, Err: errors.Join(errBrokeOff, err)}
}

func isNotFound(err error) bool { return err != nil && domain.CodeOf(err) == domain.CodeNotFound }
