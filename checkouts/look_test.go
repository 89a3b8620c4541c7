package checkouts_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"boxoffice/workflows"
)

func TestWhatAWorkflowWaitsFor(t *testing.T) {
	const open = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	first := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	task := func(state enumspb.PendingWorkflowTaskState, attempt int32) *workflowservice.DescribeWorkflowExecutionResponse {
		return &workflowservice.DescribeWorkflowExecutionResponse{
			WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: open},
			PendingWorkflowTask: &workflowpb.PendingWorkflowTaskInfo{
				State: state, Attempt: attempt,
				ScheduledTime: timestamppb.New(first.Add(time.Minute)), OriginalScheduledTime: timestamppb.New(first),
			},
		}
	}
	idle := task(0, 0)
	idle.PendingWorkflowTask = nil
	failing := described(t, open, "the provider says 500")
	failing.PendingWorkflowTask = task(enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED, 1).PendingWorkflowTask
	for name, tt := range map[string]struct {
		described *workflowservice.DescribeWorkflowExecutionResponse
		waitsFor  string
	}{
		"an activity that fails, which says why in plain words": {failing, "RefundPayment: the provider says 500 (attempt 7)"},
		"a step that no worker has taken":                       {task(enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED, 1), "a worker, since 2026-06-01T12:00:00Z"},
		"a step that a worker is at":                            {task(enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED, 1), "a worker, since 2026-06-01T12:00:00Z"},
		"nothing, if a worker could not do its step":            {task(enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED, 2), ""},
		"nothing, if there is no step":                          {idle, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, c, _ := desk(t, temporalSays{}, records{})
			c.On("DescribeWorkflowExecution", mock.Anything, "checkout/1", "").Return(tt.described, nil)
			look, err := d.Look(t.Context(), "checkout/1")
			if err != nil {
				t.Fatal(err)
			}
			if !look.Open {
				t.Fatal("want true: look.Open")
			}
			if look.WaitsFor != tt.waitsFor {
				t.Fatalf("look.WaitsFor is %q, want %q", look.WaitsFor, tt.waitsFor)
			}
		})
	}
}

// Temporal's clock may be behind ours: who seems to have ended a little before the look
// began may have ended within it.
func TestWhoIsAtWorkOnAnOrder(t *testing.T) {
	since := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	ended := func(at time.Time) *workflowservice.DescribeWorkflowExecutionResponse {
		return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
			Status: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, CloseTime: timestamppb.New(at),
		}}
	}
	running := &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING},
	}
	for name, tt := range map[string]struct {
		id        string // of the only workflow that there is
		described *workflowservice.DescribeWorkflowExecutionResponse
		atWork    bool
	}{
		"its checkout is open":             {checkoutID, running, true},
		"its refund is":                    {workflows.RefundID(order.ID), running, true},
		"its late payment is":              {workflows.LateID(order.ID, "pay_1"), running, true},
		"another payment's is":             {workflows.LateID(order.ID, "pay_2"), running, false},
		"it ended since":                   {checkoutID, ended(since.Add(time.Second)), true},
		"it ended 19 s before, by a clock": {checkoutID, ended(since.Add(-19 * time.Second)), true},
		"it ended 20 s before":             {checkoutID, ended(since.Add(-20 * time.Second)), false},
	} {
		t.Run(name, func(t *testing.T) {
			d, c, _ := desk(t, temporalSays{}, records{})
			c.On("DescribeWorkflowExecution", mock.Anything, tt.id, "").Return(tt.described, nil).Maybe()
			c.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, "").Return(nil, serviceerror.NewNotFound("no such workflow")).Maybe()
			by, err := d.Working(t.Context(), order.ID, "pay_1", since)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if tt.atWork {
				want = tt.id
			}
			if by != want {
				t.Fatalf("at work is %q, want %q", by, want)
			}
		})
	}
}
