package checkouts_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// The event of a payment that is being refunded is settled only if a workflow has it or a
// record shows that it is done: its workflow may have broken off.
func TestTheEventOfAPaymentThatGoesBackAgain(t *testing.T) {
	late, refund := workflows.LateID(order.ID, "pay_1"), workflows.RefundID(order.ID)
	capture := event(domain.PaymentSucceeded, "pay_1").Capture()
	sold := func(status domain.OrderStatus) records {
		return records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {ID: order.ID, SaleID: "conf", Status: status, Capture: capture}}}
	}
	checkout := func(lateEnded any) map[string]any {
		return map[string]any{
			checkoutID: domain.CheckoutState{Order: order.ID, SaleID: "conf", Status: domain.OrderRefunding, Payment: "pay_1"}, late: lateEnded,
		}
	}
	done := domain.CheckoutState{Status: domain.OrderRefunded}
	tests := []struct {
		name    string
		says    temporalSays
		has     records
		want    domain.PayResult
		code    domain.Code
		started string
	}{
		{"its late workflow is started again: it runs or broke off", temporalSays{result: checkout(context.DeadlineExceeded)}, records{},
			domain.PayResult{Status: domain.OrderRefunding}, "", late},
		{"it had broken off, and is through now", temporalSays{result: checkout(done)}, records{},
			domain.PayResult{Status: domain.OrderRefunded, Settled: true}, "", late},
		{"it was through", temporalSays{start: alreadyStarted, result: checkout(done)}, records{},
			domain.PayResult{Status: domain.OrderRefunded, Settled: true}, "", late},
		{"it breaks off again: not acknowledged", temporalSays{result: checkout(brokeOff)}, records{}, domain.PayResult{}, domain.CodeUnknown, late},
		{"nobody can say: not acknowledged", temporalSays{start: noWorker, result: checkout(done)}, records{}, domain.PayResult{}, domain.CodeUnknown, late},
		{"recorded as going back, by the organiser", temporalSays{}, sold(domain.OrderRefunding),
			domain.PayResult{Status: domain.OrderRefunding, Settled: true}, "", refund},
		{"the same, and it is unknown whether a workflow has it", temporalSays{start: noWorker}, sold(domain.OrderRefunding), domain.PayResult{}, domain.CodeUnknown, refund},
		{"recorded as gone back", temporalSays{}, sold(domain.OrderRefunded), domain.PayResult{Status: domain.OrderRefunded, Settled: true}, "", ""},
		{"recorded as paid", temporalSays{}, sold(domain.OrderPaid), domain.PayResult{Status: domain.OrderPaid, Settled: true}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.says.update = noSuchWorkflow
			d, c, _ := desk(t, tt.says, tt.has)
			got, err := d.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
			var started string
			for _, call := range calls(c, "ExecuteWorkflow") {
				started = call.Get(1).(client.StartWorkflowOptions).ID
			}
			if started != tt.started {
				t.Fatalf("started is %q, want %q", started, tt.started)
			}
			if tt.code != "" {
				if got := domain.CodeOf(err); got != tt.code {
					t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, tt.code, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Fatalf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// A late payment whose workflow has ended is looked into again when it is heard of again, if it may not be done: the
// provider did not know it then, or its refund is not on record, because the orders database was put back to an earlier moment.
func TestALatePaymentThatMayNotBeDone(t *testing.T) {
	capture := event(domain.PaymentSucceeded, "pay_1").Capture()
	another := capture
	another.Payment = "pay_2"
	due, done := domain.Refund{Capture: capture}, domain.Refund{Capture: capture, RefundedAt: time.Now()}
	tests := []struct {
		name    string
		ended   domain.CheckoutState
		refunds []domain.Refund
		again   bool
	}{
		{"given back and on record", domain.CheckoutState{Status: domain.OrderRefunded}, []domain.Refund{done}, false},
		{"the provider did not know it", domain.CheckoutState{Status: domain.OrderRefunded, Untaken: true}, []domain.Refund{done}, true},
		{"nothing was taken", domain.CheckoutState{Status: domain.OrderFailed, Released: true}, nil, true},
		{"its refund is not on record", domain.CheckoutState{Status: domain.OrderRefunded}, nil, true},
		{"its refund is on record as due", domain.CheckoutState{Status: domain.OrderRefunded}, []domain.Refund{due}, true},
		{"only another payment's refund is on record", domain.CheckoutState{Status: domain.OrderRefunded}, []domain.Refund{{Capture: another, RefundedAt: time.Now()}}, true},
		{"it bought tickets", domain.CheckoutState{Status: domain.OrderPaid}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, c, _ := desk(t, temporalSays{start: alreadyStarted, update: noSuchWorkflow, result: map[string]any{
				checkoutID:                          domain.CheckoutState{Order: order.ID, SaleID: "conf", Status: domain.OrderCanceled},
				workflows.LateID(order.ID, "pay_1"): tt.ended,
			}}, records{refunds: tt.refunds})
			_, err := d.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
			if err != nil {
				t.Fatal(err)
			}
			var policies []enumspb.WorkflowIdReusePolicy
			for _, call := range calls(c, "ExecuteWorkflow") {
				policies = append(policies, call.Get(1).(client.StartWorkflowOptions).WorkflowIDReusePolicy)
			}
			want := []enumspb.WorkflowIdReusePolicy{enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY}
			if tt.again {
				want = append(want, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE)
			}
			if !reflect.DeepEqual(policies, want) {
				t.Fatalf("policies is %v, want %v", policies, want)
			}
		})
	}
}

// Where the record cannot be read, nobody says that the payment is dealt with: the provider delivers it again.
func TestALatePaymentWhoseRecordCannotBeReadIsNotAcknowledged(t *testing.T) {
	d, _, _ := desk(t, temporalSays{start: alreadyStarted, update: noSuchWorkflow, result: map[string]any{
		checkoutID:                          domain.CheckoutState{Order: order.ID, SaleID: "conf", Status: domain.OrderCanceled},
		workflows.LateID(order.ID, "pay_1"): domain.CheckoutState{Status: domain.OrderRefunded},
	}}, records{down: &domain.Error{Code: domain.CodeOverloaded}})
	_, err := d.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
	if domain.CodeOf(err) != domain.CodeOverloaded {
		t.Fatalf("%v, want %q", err, domain.CodeOverloaded)
	}
}

// A key whose checkout failed because another order had it, long ago, is not known to
// have sold anything: what money says of it is asked where it went.
func TestMoneyForAKeyThatWasReused(t *testing.T) {
	capture := event(domain.PaymentSucceeded, "pay_1").Capture()
	d, c, _ := desk(t, temporalSays{update: noSuchWorkflow, result: map[string]any{
		checkoutID: errors.Join(brokeOff, refusedWith(domain.CodeKeyReused)), workflows.LateID(order.ID, "pay_1"): domain.CheckoutState{Status: domain.OrderRefunded},
	}}, records{captured: &capture})
	_, err := d.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := calls(c, "ExecuteWorkflow"); len(got) != 1 {
		t.Fatalf(`%d in calls(c, "ExecuteWorkflow"), want 1: %+v`, len(got), got)
	}
}

// Where nobody can say whether that look has begun, the event is not acknowledged: what
// was through knows nothing of the payment.
func TestALookThatMayNotHaveBegunIsNotAcknowledged(t *testing.T) {
	d, c, _ := desk(t, temporalSays{start: alreadyStarted, again: noWorker, update: noSuchWorkflow, result: map[string]any{
		checkoutID:                          domain.CheckoutState{Order: order.ID, SaleID: "conf", Status: domain.OrderCanceled},
		workflows.LateID(order.ID, "pay_1"): domain.CheckoutState{Status: domain.OrderRefunded, Untaken: true},
	}}, records{})
	got, err := d.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
	if domain.CodeOf(err) != domain.CodeUnknown {
		t.Fatalf("got %+v, %v, want %q", got, err, domain.CodeUnknown)
	}
	if got := calls(c, "ExecuteWorkflow"); len(got) != 2 {
		t.Fatalf(`%d in calls(c, "ExecuteWorkflow"), want 2: %+v`, len(got), got)
	}
}

// A workflow that gave money back and broke off is started again with its original input.
func TestTakeUp(t *testing.T) {
	const failed, terminated, completed, running = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED,
		enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	late := workflows.LateInput{Capture: event(domain.PaymentSucceeded, "pay_1").Capture(), SaleID: "conf", Rebook: true, Order: &order, Reason: domain.RefundNoneLeft}
	unsealed := late
	unsealed.Unsealed = true
	refund := workflows.RefundInput{Order: order.ID, Reason: domain.RefundByOrganiser}
	whole := workflows.CancelSaleInput{SaleID: "conf", RequestedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Closed: true}
	tests := []struct {
		name   string
		u      domain.Workflow
		status enumspb.WorkflowExecutionStatus
		input  any
		starts bool
	}{
		{"a late payment", domain.Workflow{ID: "late/1/pay_1", Failed: true}, terminated, late, true},
		{"a refund", domain.Workflow{ID: "refund/1", Failed: true}, failed, refund, true},
		{"the cancellation of a sale", domain.Workflow{ID: "cancel-sale/conf", Failed: true}, failed, whole, true},
		{"one of which a later run is through", domain.Workflow{ID: "late/1/pay_1", Failed: true}, completed, late, false},
		{"one of which a later run is open", domain.Workflow{ID: "late/1/pay_1", Failed: true}, running, late, false},
		{"one that is open", domain.Workflow{ID: "late/1/pay_1"}, running, late, false},
		{"one that was not sealed", domain.Workflow{ID: "late/1/pay_1", Failed: true}, failed, unsealed, false},
		{"a checkout", domain.Workflow{ID: "checkout/1", Failed: true, Checkout: true}, failed, order, false},
		{"somebody else's", domain.Workflow{ID: "other", Failed: true}, failed, order, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, c, _ := desk(t, temporalSays{}, records{})
			c.On("DescribeWorkflowExecution", mock.Anything, tt.u.ID, "").Return(described(t, tt.status, "refused"), nil).Maybe()
			input, err := payloads.ToPayloads(tt.input)
			if err != nil {
				t.Fatal(err)
			}
			events := mocks.NewHistoryEventIterator(t)
			events.On("HasNext").Return(true).Maybe()
			events.On("Next").Return(&historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
				WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{Input: input},
			}}, nil).Maybe()
			c.On("GetWorkflowHistory", mock.Anything, tt.u.ID, "", false, mock.Anything).Return(events).Maybe()
			started, err := d.TakeUp(t.Context(), tt.u)
			if err != nil {
				t.Fatal(err)
			}
			if started != tt.starts {
				t.Fatalf("started is %v, want %v", started, tt.starts)
			}
			if !tt.starts {
				if got := calls(c, "ExecuteWorkflow"); len(got) != 0 {
					t.Fatalf(`calls(c, "ExecuteWorkflow") is %+v, want nothing`, got)
				}
				return
			}
			call := calls(c, "ExecuteWorkflow")[0]
			if got := call.Get(1).(client.StartWorkflowOptions).ID; got != tt.u.ID {
				t.Fatalf("call.Get(1).(client.StartWorkflowOptions).ID is %q, want %q", got, tt.u.ID)
			}
			if got := call.Get(3); !reflect.DeepEqual(got, tt.input) {
				t.Fatalf("call.Get(3) is %v, want %v", got, tt.input)
			}
		})
	}
}
