package checkouts_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/mock"
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
	if err != nil {
		t.Fatal(err)
	}
	options := calls(c, "ExecuteWorkflow")[0].Get(1).(client.StartWorkflowOptions)
	if options.ID != checkoutID {
		t.Fatalf("options.ID is %q, want %q", options.ID, checkoutID)
	}
	if options.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE {
		t.Fatalf("options.WorkflowIDReusePolicy is %v, want %v", options.WorkflowIDReusePolicy, enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE)
	}
	if options.WorkflowIDConflictPolicy != enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL {
		t.Fatalf("options.WorkflowIDConflictPolicy is %v, want %v", options.WorkflowIDConflictPolicy, enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
	}
	if !options.WorkflowExecutionErrorWhenAlreadyStarted {
		t.Fatal("want true: options.WorkflowExecutionErrorWhenAlreadyStarted")
	}
	if options.WorkflowExecutionTimeout != 0 {
		t.Fatalf("options.WorkflowExecutionTimeout is %v, want zero", options.WorkflowExecutionTimeout)
	}
	if options.WorkflowRunTimeout != 0 {
		t.Fatalf("options.WorkflowRunTimeout is %v, want zero", options.WorkflowRunTimeout)
	}

	paid := records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderPaid}}}
	d, c, _ = desk(t, temporalSays{result: map[string]any{workflows.RefundID(order.ID): domain.OrderRefunded}}, paid)
	_, err = d.Refund(context.Background(), order.ID)
	if err != nil {
		t.Fatal(err)
	}
	options = calls(c, "ExecuteWorkflow")[0].Get(1).(client.StartWorkflowOptions)
	if options.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE {
		t.Fatalf("options.WorkflowIDReusePolicy is %v, want %v: the record says that it is not refunded", options.WorkflowIDReusePolicy, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE)
	}
	if options.WorkflowIDConflictPolicy != enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL {
		t.Fatalf("options.WorkflowIDConflictPolicy is %v, want %v", options.WorkflowIDConflictPolicy, enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
	}

	canceled := domain.CheckoutState{Order: order.ID, Status: domain.OrderCanceled}
	d, c, _ = desk(t, temporalSays{update: noSuchWorkflow, result: map[string]any{checkoutID: canceled, workflows.LateID(order.ID, "pay_1"): canceled}}, records{})
	_, err = d.Pay(context.Background(), event(domain.PaymentSucceeded, "pay_1"))
	if err != nil {
		t.Fatal(err)
	}
	options = calls(c, "ExecuteWorkflow")[0].Get(1).(client.StartWorkflowOptions)
	if options.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY {
		t.Fatalf("options.WorkflowIDReusePolicy is %v, want %v", options.WorkflowIDReusePolicy, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY)
	}
}

// Temporal answers an update's id with that update's answer: another body must not
// get that of the first.
func TestABodyAsksUnderItsOwnName(t *testing.T) {
	d, c, _ := desk(t, temporalSays{start: alreadyStarted, answer: held}, records{})
	other := order
	other.Fingerprint = "beef"
	for _, o := range []domain.Order{order, order, other} {
		_, err := d.Start(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for _, call := range calls(c, "UpdateWorkflow") {
		ids = append(ids, call.Get(1).(client.UpdateWorkflowOptions).UpdateID)
	}
	if len(ids) != 3 {
		t.Fatalf("%d in ids, want 3: %q", len(ids), ids)
	}
	if ids[1] != ids[0] {
		t.Fatalf("ids[1] is %q, want %q: a repeat enters the history once", ids[1], ids[0])
	}
	if ids[2] == ids[0] {
		t.Fatalf("ids[2] is %q", ids[2])
	}
}

// If nothing was decided, the client is told when to ask again.
func TestARetryIsToldWhen(t *testing.T) {
	for name, says := range map[string]temporalSays{
		"exhausted": {start: &serviceerror.ResourceExhausted{}},
		"in flight": {start: alreadyStarted, update: noWorker},
	} {
		d, _, _ := desk(t, says, records{})
		_, err := d.Start(context.Background(), order)
		var refusal *domain.Error
		if !errors.As(err, &refusal) {
			t.Fatalf("the error is a %T, want a %T: %v: %v", err, refusal, err, name)
		}
		if refusal.RetryAfter <= 0 {
			t.Fatalf("refusal.RetryAfter is %v, want more than 0: %v", refusal.RetryAfter, name)
		}
	}
}

// A provider that hangs up has reported the payment all the same.
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
	if err != nil {
		t.Fatal(err)
	}
	if after != nil {
		t.Fatalf("the signal was sent with the sender's context: %v", after)
	}
	if result.Settled {
		t.Fatal("want false: result.Settled: it is stored, and nothing more is known")
	}
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
			if got := domain.CodeOf(err); got != tt.code {
				t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, tt.code, err)
			}
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
	if got := domain.CodeOf(err); got != domain.CodeKeyReused {
		t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, domain.CodeKeyReused, err)
	}
}
