package checkouts_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"boxoffice/domain"
	"boxoffice/workflows"
)

func TestCancelSale(t *testing.T) {
	tests := []struct {
		name string
		says temporalSays
		code domain.Code
	}{
		{"begun, and in force", temporalSays{}, ""},
		{"begun before", temporalSays{start: alreadyStarted}, ""},
		{"ended before", temporalSays{start: alreadyStarted, update: noSuchWorkflow}, ""},
		{"begun, and not in force yet", temporalSays{update: noWorker}, domain.CodeUnknown},
		{"no word whether it was begun", temporalSays{start: serviceerror.NewUnavailable("away")}, domain.CodeUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, c, _ := desk(t, tt.says, records{})
			err := d.CancelSale(t.Context(), "conf", time.Now())
			if tt.code != "" {
				if got := domain.CodeOf(err); got != tt.code {
					t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, tt.code, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.AssertCalled(t, "ExecuteWorkflow", mock.Anything, mock.MatchedBy(func(o client.StartWorkflowOptions) bool {
				return o.ID == "cancel-sale/conf" && o.WorkflowIDReusePolicy == enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
			}), mock.Anything, mock.MatchedBy(func(in workflows.CancelSaleInput) bool { return in.SaleID == "conf" && !in.RequestedAt.IsZero() }))
		})
	}
}

func TestCancelOrder(t *testing.T) {
	soldAs := func(status domain.OrderStatus) records {
		return records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {ID: order.ID, Status: status}}}
	}
	refund := workflows.RefundID(order.ID)
	tests := []struct {
		name string
		says temporalSays
		has  records
		want domain.OrderStatus
		code domain.Code
	}{
		{"held", temporalSays{answer: workflows.PaymentAnswer{Status: domain.OrderCanceled}}, records{}, domain.OrderCanceled, ""},
		{"expired before", temporalSays{update: noSuchWorkflow, result: map[string]any{checkoutID: domain.CheckoutState{Status: domain.OrderExpired}}},
			records{}, domain.OrderExpired, ""},
		{"paid: refunded", temporalSays{update: noSuchWorkflow, result: map[string]any{refund: domain.OrderRefunded}},
			soldAs(domain.OrderPaid), domain.OrderRefunded, ""},
		{"captured at the provider: refunded", temporalSays{answer: workflows.PaymentAnswer{Status: domain.OrderPaid}, result: map[string]any{refund: domain.OrderRefunded}},
			soldAs(domain.OrderPaid), domain.OrderRefunded, ""},
		{"paid, and the provider refuses for now", temporalSays{update: noSuchWorkflow, result: map[string]any{refund: errors.New("not yet")}},
			soldAs(domain.OrderPaid), domain.OrderRefunding, ""},
		{"refunded before", temporalSays{update: noSuchWorkflow}, soldAs(domain.OrderRefunded), domain.OrderRefunded, ""},
		{"paid too late for tickets: that money goes back already",
			temporalSays{update: noSuchWorkflow, result: map[string]any{checkoutID: domain.CheckoutState{Status: domain.OrderRefunding}}},
			records{}, domain.OrderRefunding, ""},
		{"unknown", temporalSays{update: noSuchWorkflow}, records{}, "", domain.CodeNotFound},
		{"no worker", temporalSays{update: noWorker}, records{}, "", domain.CodeUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, _, _ := desk(t, tt.says, tt.has)
			got, err := d.CancelOrder(t.Context(), order.ID)
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
				t.Fatalf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// described is Temporal's description of a workflow with one failing step.
func described(t *testing.T, status enumspb.WorkflowExecutionStatus, message string) *workflowservice.DescribeWorkflowExecutionResponse {
	t.Helper()
	failure := &failurepb.Failure{Message: message}
	if err := converter.EncodeCommonFailureAttributes(payloads, failure); err != nil {
		t.Fatal(err)
	} // sealed, as the worker writes it
	if got := failure.GetMessage(); strings.Contains(got, message) {
		t.Fatalf("%q is in %s", message, got)
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: status},
		PendingActivities: []*workflowpb.PendingActivityInfo{
			{ActivityType: &commonpb.ActivityType{Name: "Other"}},
			{ActivityType: &commonpb.ActivityType{Name: "RefundPayment"}, Attempt: 7, LastFailure: failure},
		},
	}
}

func TestWhyARefundWaits(t *testing.T) {
	const open, failed, completed = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	tests := []struct {
		name     string
		reason   domain.RefundReason
		status   enumspb.WorkflowExecutionStatus
		workflow string
		waits    bool
		says     string
		restarts bool
	}{
		{"an order's", domain.RefundSaleCanceled, open, "refund/" + order.ID.String(), true, "RefundPayment: refused", false},
		{"a late payment's", domain.RefundNoneLeft, open, "late/" + order.ID.String() + "/pay_1", true, "RefundPayment: refused", false},
		{"an order's that broke off is started again", domain.RefundSaleCanceled, failed, "refund/" + order.ID.String(), true, "broke off", true},
		{"a late payment's that broke off is started again", domain.RefundNoneLeft, failed, "late/" + order.ID.String() + "/pay_1", true, "broke off", true},
		{"done meanwhile", domain.RefundSaleCanceled, completed, "refund/" + order.ID.String(), false, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, c, _ := desk(t, temporalSays{}, records{})
			c.On("DescribeWorkflowExecution", mock.Anything, tt.workflow, "").Return(described(t, tt.status, "refused"), nil)
			refund := domain.Refund{Capture: domain.Capture{Order: order.ID, Payment: "pay_1"}, SaleID: "conf", Reason: tt.reason}
			wait, waits, err := d.Waits(t.Context(), refund)
			if err != nil {
				t.Fatal(err)
			}
			if waits != tt.waits {
				t.Fatalf("waits is %v, want %v", waits, tt.waits)
			}
			if !strings.Contains(wait.Reason, tt.says) {
				t.Fatalf("no %q in %s", tt.says, wait.Reason)
			}
			if tt.status == open {
				if wait.Attempts != 7 {
					t.Fatalf("wait.Attempts is %v, want 7", wait.Attempts)
				}
			}
			if tt.restarts {
				c.AssertCalled(t, "ExecuteWorkflow", anything("ExecuteWorkflow")...)
			} else {
				c.AssertNotCalled(t, "ExecuteWorkflow", anything("ExecuteWorkflow")...)
			}
		})
	}
}

func TestCountCheckouts(t *testing.T) {
	d, c, _ := desk(t, temporalSays{}, records{})
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for query, n := range map[string]int64{
		"Sale = 'conf' AND WorkflowType = 'Checkout' AND ExecutionStatus = 'Running'":                                 3,
		"Sale = 'conf' AND WorkflowType = 'Checkout' AND Ending = 'canceled' AND CloseTime >= '2026-03-01T12:00:00Z'": 4,
		"Sale = 'conf' AND WorkflowType = 'Late' AND ExecutionStatus = 'Running'":                                     5,
	} {
		c.On("CountWorkflow", mock.Anything, &workflowservice.CountWorkflowExecutionsRequest{Query: query}).
			Return(&workflowservice.CountWorkflowExecutionsResponse{Count: n}, nil)
	}
	got := domain.SaleCancellation{SaleID: "conf", RequestedAt: at}
	if err := d.CountCheckouts(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if want := (domain.SaleCancellation{SaleID: "conf", RequestedAt: at, OpenCheckouts: 3, CanceledCheckouts: 4, LatePayments: 5}); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}
