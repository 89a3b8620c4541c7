package checkouts_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/mocks"
	"google.golang.org/protobuf/types/known/timestamppb"

	"boxoffice/domain"
	"boxoffice/workflows"
)

var ended = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// standing says how workflows stand: those that are missing nobody knows.
func standing(c *mocks.Client, statuses map[string]enumspb.WorkflowExecutionStatus) {
	for id, status := range statuses {
		c.On("DescribeWorkflowExecution", mock.Anything, id, "").Return(&workflowservice.DescribeWorkflowExecutionResponse{
			WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: status, CloseTime: timestamppb.New(ended)},
		}, nil).Maybe()
	}
	c.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, "").Return(nil, serviceerror.NewNotFound("no such workflow")).Maybe()
}

func noHistory(t *testing.T, c *mocks.Client) {
	events := mocks.NewHistoryEventIterator(t)
	events.On("HasNext").Return(false).Maybe()
	c.On("GetWorkflowHistory", mock.Anything, checkoutID, "", false, mock.Anything).Return(events).Maybe()
}

// What Temporal still knows about an order whose record is lost; of what it has
// forgotten it says nothing.
func TestRemember(t *testing.T) {
	const (
		completed = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
		running   = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	)
	late := workflows.LateID(order.ID, "pay_2")
	paid := domain.CheckoutState{Order: order.ID, Status: domain.OrderPaid, Payment: "pay_1", Ended: ended}
	rebooked := domain.CheckoutState{Order: order.ID, Status: domain.OrderPaid, Payment: "pay_2", Ended: ended}
	expired := domain.CheckoutState{Order: order.ID, Status: domain.OrderExpired}
	refunded := domain.CheckoutState{Order: order.ID, Status: domain.OrderRefunded, Payment: "pay_2"}
	for _, tt := range []struct {
		name     string
		statuses map[string]enumspb.WorkflowExecutionStatus
		result   map[string]any
		history  bool
		want     domain.RememberedOrder // with the order where there is a history
	}{
		{"paid", map[string]enumspb.WorkflowExecutionStatus{checkoutID: completed}, map[string]any{checkoutID: paid}, true,
			domain.RememberedOrder{Payment: "pay_1", Session: "ps_01000000000000000000000000000000", PaidAt: ended}},
		{"rebooked after it had expired", map[string]enumspb.WorkflowExecutionStatus{checkoutID: completed, late: completed},
			map[string]any{checkoutID: expired, late: rebooked}, true, domain.RememberedOrder{Payment: "pay_2", Session: "ps_01000000000000000000000000000000", PaidAt: ended}},
		{"expired, its late payment given back", map[string]enumspb.WorkflowExecutionStatus{checkoutID: completed, late: completed},
			map[string]any{checkoutID: expired, late: refunded}, true, domain.RememberedOrder{}},
		{"only the late payment is remembered", map[string]enumspb.WorkflowExecutionStatus{late: completed}, map[string]any{late: rebooked}, false,
			domain.RememberedOrder{Payment: "pay_2", Session: "ps_01000000000000000000000000000000", PaidAt: ended}},
		{"broke off", map[string]enumspb.WorkflowExecutionStatus{checkoutID: enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED}, map[string]any{checkoutID: brokeOff}, true,
			domain.RememberedOrder{}},
		{"its late payment waits for the record", map[string]enumspb.WorkflowExecutionStatus{checkoutID: completed, late: running}, map[string]any{checkoutID: expired}, true,
			domain.RememberedOrder{}},
		{"forgotten", nil, nil, false, domain.RememberedOrder{}},
		{"open", map[string]enumspb.WorkflowExecutionStatus{checkoutID: running}, nil, true, domain.RememberedOrder{Open: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, c, _ := desk(t, temporalSays{result: tt.result}, records{})
			standing(c, tt.statuses)
			if tt.history {
				if !tt.want.Open {
					startedWith(t, c, payloads)
					tt.want.Order = &order
				}
			} else {
				noHistory(t, c)
			}
			got, err := d.Remember(t.Context(), order.ID, []string{"pay_2"})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRememberWithoutTemporal(t *testing.T) {
	d, c, _ := desk(t, temporalSays{}, records{})
	c.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, "").Return(nil, serviceerror.NewUnavailable("away"))
	_, err := d.Remember(context.Background(), order.ID, nil)
	if !domain.IsUnknown(err) {
		t.Fatalf("want true: domain.IsUnknown(err): %v", err)
	}
}
