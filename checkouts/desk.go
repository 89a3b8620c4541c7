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

// Orders is what the desk needs from the database: a sold order outlives its workflow.
type Orders interface {
	// Order returns a *domain.Error with CodeNotFound for an order that was never sold.
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
	// RefundsOfOrder lists the refunds of all payments that named the order.
	RefundsOfOrder(ctx context.Context, id domain.OrderID) ([]domain.Refund, error)
}

// Provider answers about money for orders that we do not know, and about the sessions of
// new ones. A payments.Set is one.
type Provider interface {
	Capture(ctx context.Context, session string) (domain.Capture, bool, error)
	// SessionOf returns an order's session if the provider derives it, else false.
	SessionOf(provider string, order domain.OrderID) (string, bool)
	Has(provider string) bool
}

// Ledger answers what was sold to an order that we do not know.
type Ledger interface {
	SeatFate(ctx context.Context, order domain.OrderID) (domain.SeatFate, error)
}

// Timeouts of the desk. Each limits one wait of one request.
const (
	// startTimeout bounds the call that starts a workflow.
	startTimeout = 10 * time.Second
	// noticeTimeout is how long we wait for this process to place the hold before we ask
	// the workflow over Temporal: another node may have it.
	noticeTimeout = 250 * time.Millisecond
	// holdTimeout limits the wait for the ledger's answer. After it, the buyer gets
	// "unknown" and repeats the same key.
	holdTimeout = 8 * time.Second
	// replayTimeout is the same for a repeated key, which gets "in flight" sooner.
	replayTimeout = 2 * time.Second
	// paymentTimeout is how long a webhook waits for its checkout to settle before we
	// leave the event as a durable signal.
	paymentTimeout = 5 * time.Second
	// signalTimeout bounds that signal.
	signalTimeout = 5 * time.Second
	// askTimeout limits a question (state, history).
	askTimeout = 5 * time.Second
	// cancelTimeout is how long a cancel waits for the provider's answer.
	cancelTimeout = 10 * time.Second
	// openTimeout is how long a buyer waits for the provider's page: a little longer than
	// the checkout lets the provider try.
	openTimeout = 10 * time.Second
	// refundTimeout is how long we wait for a refund or a late payment before the answer
	// is "under way".
	refundTimeout = 3 * time.Second
)

// retryAfter is the default hint to clients.
const retryAfter = time.Second

// Desk starts checkouts and asks them. It is safe for concurrent use.
type Desk struct {
	// Namespace is the client's own, which the client does not expose: Forget names it.
	Namespace string
	// Reversals records what happens to payments at the provider. Nil: the provider is asked
	// to tell it again.
	Reversals Reversals
	// Flagged is called with what an operator must look into. It may be nil.
	Flagged func(flag activities.Flag, order domain.OrderID, why error)
	// StartsHere reports whether a worker of this process may take a checkout that it starts
	// without asking Temporal. Nil: it may.
	StartsHere func() bool

	temporal client.Client
	notices  *activities.HoldNotices // nil if no worker runs in this process
	orders   Orders
	provider Provider
	ledger   Ledger
	payloads converter.DataConverter
}

// NewDesk wires a desk. Without notices, every answer to a hold comes from the workflow's
// Update. The converter must be the client's own, which the client does not expose; the
// desk reads histories with it.
func NewDesk(temporal client.Client, payloads converter.DataConverter, notices *activities.HoldNotices, orders Orders, provider Provider, ledger Ledger) *Desk {
	return &Desk{temporal: temporal, payloads: payloads, notices: notices, orders: orders, provider: provider, ledger: ledger}
}

// Start places an order and returns its hold as soon as the ledger has answered; the
// workflow runs on. The same order again gets an answer again and is never placed twice.
// Errors: *domain.Error with CodeKeyReused, CodeInFlight or CodeOverloaded (nothing was
// started); *domain.UnknownError if the outcome is not known and the same key must be
// repeated.
func (d *Desk) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	if order.Provider != "" && !order.IsFree() { // empty: from before orders named their provider
		if !d.provider.Has(order.Provider) {
			return domain.HoldAnswer{}, notConfigured(&order)
		}
		if session, derived := d.provider.SessionOf(order.Provider, order.ID); derived {
			order.Session = session
		}
	}
	here := d.StartsHere == nil || d.StartsHere()
	var notice <-chan domain.Hold
	if here {
		told, cancel := d.notices.Subscribe(order.ID)
		defer cancel()
		notice = told
	}
	err := d.startCheckout(ctx, &order, here)
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

// notConfigured: don't start a hold that nobody could pay for.
func notConfigured(order *domain.Order) error {
	return &domain.Error{
		Code: domain.CodeOverloaded, RetryAfter: time.Minute,
		Detail: "The payment provider of this sale is not configured. Nothing was held.",
		Err:    fmt.Errorf("sale %s: payment provider %q is not in BOXOFFICE_PAYMENT_PROVIDERS", order.SaleID, order.Provider),
	}
}

// startCheckout goes on when the buyer hangs up. The answer brings the first workflow
// task, and nobody else gets that until it times out; the same key would get "in flight"
// until then.
func (d *Desk) startCheckout(ctx context.Context, order *domain.Order, here bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	failpoint.Before("checkout", "start")
	_, err := d.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:        workflows.CheckoutID(order.ID),
		TaskQueue: workflows.TaskQueue,
		// One order is one checkout, as long as Temporal remembers it.
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		// The first workflow task comes back with the start's own answer if a worker of
		// this process is free. That skips matching.
		EnableEagerStart:      here,
		StaticSummary:         workflows.Summary(order),
		TypedSearchAttributes: temporal.NewSearchAttributes(workflows.SaleAttribute.ValueSet(order.SaleID)),
		// No execution timeout: a paid checkout must end correctly, however long an
		// outage lasts.
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

// askHold asks the workflow. The update's id is the fingerprint, so however often a key
// is repeated, the history has it once.
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

// checked catches a newer worker's answer that this release does not know, which is not a
// no.
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

// inFlight: the first request is still being worked on, so its repeat has not failed.
func inFlight(err error) error {
	if !domain.IsUnknown(err) {
		return err
	}
	return &domain.Error{
		Code: domain.CodeInFlight, RetryAfter: retryAfter, Err: err,
		Detail: "The first request with this Idempotency-Key is still being worked on. Repeat it in a moment.",
	}
}

// State returns the state of an order's checkout: it asks an open one, and reads a closed
// one's result. Errors: *domain.Error with CodeNotFound if Temporal does not know such a
// checkout, or not any more; *domain.UnknownError.
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

// result reads how a closed workflow ended. It needs no worker.
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

// Cancel cancels an order for its buyer and returns how it ended: canceled now, or failed
// or expired before. Errors: *domain.Error with CodeAlreadyPaid, or with
// CodePaymentProcessing while nobody can stop its payment; and those of State.
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
	if err == nil && answer.Status == domain.OrderHeld {
		answer.Status, err = d.stillHeld(ctx, id)
	}
	if err == nil {
		err = answer.Status.Check()
	}
	if err == nil && answer.Status.Sold() {
		return answer.Status, &domain.Error{Code: domain.CodeAlreadyPaid, Detail: "The order was paid before it could be canceled."}
	}
	return answer.Status, err
}

// stillHeld says what became of an order whose cancel found that its payment was being
// processed: the same cancel gets the same answer again, whatever has happened since.
func (d *Desk) stillHeld(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	state, err := d.State(ctx, id)
	if err != nil || state.Status != domain.OrderHeld {
		return state.Status, err
	}
	return state.Status, &domain.Error{
		Code: domain.CodePaymentProcessing, RetryAfter: time.Minute,
		Detail: "A payment for this order is being processed, and nobody can stop it. If it does not go through, the seats go back by themselves.",
	}
}

// OpenPayment opens the page where a held order is paid, or finds it. The session is
// durable before it returns. Errors: *domain.Error with CodeAlreadyPaid, with
// CodeNotFound if the order is not held any more, or with CodeOverloaded;
// *domain.UnknownError if the provider did not answer in time: ask again.
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
		return &domain.UnknownError{Op: "update", Err: err} // the workflow broke off: nobody knows how far it got
	}
}

// fromTemporal turns Temporal's errors into ours: definite (not found, refused, failed)
// or unknown.
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

// isExhausted: Temporal refused because of load. Only for a start is that definite; the
// SDK may repeat an update after it was accepted.
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

// errBrokeOff marks a workflow that closed without a result: failed, terminated or timed
// out.
var errBrokeOff = errors.New("the workflow broke off")

// failure turns the failure of a workflow into an error: its request can never succeed.
// The ledger refuses a key whose order it already held with another body, even after
// Temporal's retention. Anything else is a bug of ours, or an operator's doing.
func failure(err error) error {
	if code, _ := workflows.CodeOfRejection(err); code == domain.CodeKeyReused {
		return keyReused()
	}
	return &domain.Error{Code: domain.CodeInternal, Err: errors.Join(errBrokeOff, err)}
}

func isNotFound(err error) bool { return err != nil && domain.CodeOf(err) == domain.CodeNotFound }
