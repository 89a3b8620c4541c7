package checkouts_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// calls are the arguments of each call of a method of Temporal's client.
func calls(c *mocks.Client, method string) (all []mock.Arguments) {
	for _, call := range c.Calls {
		if call.Method == method {
			all = append(all, call.Arguments)
		}
	}
	return all
}

// A checkout is started once for as long as Temporal remembers it, and whatever time
// it takes; money that is owed, again if its workflow broke off.
func TestHowWorkflowsAreStarted(t *testing.T) {
	d, c, _ := desk(t, temporalSays{answer: held}, records{})
	_, err := d.Start(context.Background(), order)
	require.NoError(t, err)
	options := calls(c, "ExecuteWorkflow")[0].Get(1).(client.StartWorkflowOptions)
	require.Equal(t, checkoutID, options.ID)
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, options.WorkflowIDReusePolicy)
	require.Equal(t, enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL, options.WorkflowIDConflictPolicy)
	require.True(t, options.WorkflowExecutionErrorWhenAlreadyStarted)
	require.Zero(t, options.WorkflowExecutionTimeout)
	require.Zero(t, options.WorkflowRunTimeout)

	paid := records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderPaid}}}
	d, c, _ = desk(t, temporalSays{result: map[string]any{workflows.RefundID(order.ID): domain.OrderRefunded}}, paid)
	_, err = d.Refund(context.Background(), order.ID)
	require.NoError(t, err)
	options = calls(c, "ExecuteWorkflow")[0].Get(1).(client.StartWorkflowOptions)
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, options.WorkflowIDReusePolicy, "the record says that it is not refunded")
	require.Equal(t, enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL, options.WorkflowIDConflictPolicy)

	canceled := domain.CheckoutState{Order: order.ID, Status: domain.OrderCanceled}
	d, c, _ = desk(t, temporalSays{update: noSuchWorkflow, result: map[string]any{checkoutID: canceled, workflows.LateID(order.ID, "pay_1"): canceled}}, records{})
	_, err = d.Pay(context.Background(), event(domain.PaymentSucceeded, "pay_1"))
	require.NoError(t, err)
	options = calls(c, "ExecuteWorkflow")[0].Get(1).(client.StartWorkflowOptions)
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY, options.WorkflowIDReusePolicy)
}

// Temporal answers an update's id with that update's answer: another body must not
// get that of the first.
func TestABodyAsksUnderItsOwnName(t *testing.T) {
	d, c, _ := desk(t, temporalSays{start: alreadyStarted, answer: held}, records{})
	other := order
	other.Fingerprint = "beef"
	for _, o := range []domain.Order{order, order, other} {
		_, err := d.Start(context.Background(), o)
		require.NoError(t, err)
	}
	var ids []string
	for _, call := range calls(c, "UpdateWorkflow") {
		ids = append(ids, call.Get(1).(client.UpdateWorkflowOptions).UpdateID)
	}
	require.Len(t, ids, 3)
	require.Equal(t, ids[0], ids[1], "a repeat enters the history once")
	require.NotEqual(t, ids[0], ids[2])
}

// Where nothing was decided, the client hears when to ask again.
func TestWhoIsToRepeatHearsWhen(t *testing.T) {
	for name, says := range map[string]temporalSays{
		"exhausted": {start: &serviceerror.ResourceExhausted{}},
		"in flight": {start: alreadyStarted, update: noWorker},
	} {
		d, _, _ := desk(t, says, records{})
		_, err := d.Start(context.Background(), order)
		var refusal *domain.Error
		require.ErrorAs(t, err, &refusal, name)
		require.Positive(t, refusal.RetryAfter, name)
	}
}

// The provider that hangs up has reported the payment all the same.
func TestAPaymentIsStoredAlthoughItsSenderLeft(t *testing.T) {
	d, c, _ := desk(t, temporalSays{update: noWorker}, records{})
	ctx, leave := context.WithCancel(context.Background())
	leave()
	var after error
	c.ExpectedCalls = append([]*mock.Call{
		c.On("SignalWorkflow", mock.Anything, mock.Anything, mock.Anything, workflows.PaymentSignal, mock.Anything).
			Run(func(args mock.Arguments) { after = args.Get(0).(context.Context).Err() }).Return(nil),
	}, c.ExpectedCalls...)
	result, err := d.Pay(ctx, event(domain.PaymentSucceeded, "pay_1"))
	require.NoError(t, err)
	require.NoError(t, after, "the signal was sent with the sender's context")
	require.False(t, result.Settled, "it is stored, and nothing more is known")
}

func TestCancelThatCannotBe(t *testing.T) {
	for name, tt := range map[string]struct {
		says temporalSays
		has  records
		code domain.Code
	}{
		"paid":                      {temporalSays{answer: workflows.PaymentAnswer{Status: domain.OrderPaid}}, records{}, domain.CodeAlreadyPaid},
		"paid, and on its way back": {temporalSays{update: noSuchWorkflow}, records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderRefunding}}}, domain.CodeAlreadyPaid},
		"paid, and given back":      {temporalSays{update: noSuchWorkflow}, records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderRefunded}}}, domain.CodeAlreadyPaid},
		"it broke off in the midst": {temporalSays{update: refusedWith(domain.CodeInternal)}, records{}, domain.CodeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			d, _, _ := desk(t, tt.says, tt.has)
			_, err := d.Cancel(context.Background(), order.ID)
			require.Equal(t, tt.code, domain.CodeOf(err), "%v", err)
		})
	}
}

// The ledger knows the key of another body for longer than Temporal does.
func TestAKeyThatTheLedgerKnowsOfAnotherBody(t *testing.T) {
	d, _, _ := desk(t, temporalSays{
		start: alreadyStarted, update: noSuchWorkflow,
		result: map[string]any{checkoutID: errors.Join(brokeOff, refusedWith(domain.CodeKeyReused))},
	}, records{})
	_, err := d.Start(context.Background(), order)
	require.Equal(t, domain.CodeKeyReused, domain.CodeOf(err), "%v", err)
}
