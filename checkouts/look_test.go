package checkouts_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
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
		"nothing, where a worker could not do its step":         {task(enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED, 2), ""},
		"nothing, where there is no step":                       {idle, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, c, _ := desk(t, temporalSays{}, records{})
			c.On("DescribeWorkflowExecution", mock.Anything, "checkout/1", "").Return(tt.described, nil)
			look, err := d.Look(t.Context(), "checkout/1")
			require.NoError(t, err)
			require.True(t, look.Open)
			require.Equal(t, tt.waitsFor, look.WaitsFor)
		})
	}
}
