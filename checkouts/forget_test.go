package checkouts_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/mock"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// deletions takes what is deleted.
type deletions struct {
	workflowservice.WorkflowServiceClient
	runs []string
	gone string // a run that is deleted already
}

func (d *deletions) DeleteWorkflowExecution(
	_ context.Context, r *workflowservice.DeleteWorkflowExecutionRequest, _ ...grpc.CallOption,
) (*workflowservice.DeleteWorkflowExecutionResponse, error) {
	run := r.GetNamespace() + " " + r.GetWorkflowExecution().GetWorkflowId() + " " + r.GetWorkflowExecution().GetRunId()
	d.runs = append(d.runs, run)
	if r.GetWorkflowExecution().GetRunId() == d.gone {
		return nil, serviceerror.NewNotFound("no such run")
	}
	return &workflowservice.DeleteWorkflowExecutionResponse{}, nil
}

// What has ended is deleted, run by run, also runs before the last. Nothing that is open is
// named: Temporal would terminate it.
func TestForgetDeletesWhatHasEndedAndNothingElse(t *testing.T) {
	const completed, running = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	info := func(id, run string, status enumspb.WorkflowExecutionStatus) *workflowpb.WorkflowExecutionInfo {
		return &workflowpb.WorkflowExecutionInfo{Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: run}, Status: status}
	}
	late, other := workflows.LateID(order.ID, "pay_1"), workflows.LateID(order.ID, "pay_2")
	d, c, _ := desk(t, temporalSays{}, records{})
	d.Namespace = "tickets"
	service := &deletions{gone: "r4"}
	c.On("WorkflowService").Return(service)
	for id, latest := range map[string]*workflowpb.WorkflowExecutionInfo{
		checkoutID: info(checkoutID, "r1", completed), late: info(late, "r2", running), workflows.RefundID(order.ID): nil,
	} {
		if latest == nil {
			c.On("DescribeWorkflowExecution", mock.Anything, id, "").Return(nil, serviceerror.NewNotFound("no such workflow"))
			continue
		}
		c.On("DescribeWorkflowExecution", mock.Anything, id, "").Return(&workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: latest}, nil)
	}
	pages := [][]*workflowpb.WorkflowExecutionInfo{
		// The list lags: it has the checkout as open.
		{info(checkoutID, "r1", running), info(late, "r3", enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED)},
		{info(other, "r4", completed)},
	}
	c.On("ListWorkflow", mock.Anything, mock.Anything).Return(
		func(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
			page := len(r.GetNextPageToken())
			next := make([]byte, page+1)
			if page+1 == len(pages) {
				next = nil
			}
			return &workflowservice.ListWorkflowExecutionsResponse{Executions: pages[page], NextPageToken: next}, nil
		})
	open, err := d.OpenWorkflow(t.Context(), order.ID, []string{"pay_1"})
	if err != nil || open != late {
		t.Fatalf("open is %q, %v, want %s", open, err, late)
	}
	if err := d.Forget(t.Context(), order.ID, []string{"pay_1"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"tickets " + checkoutID + " r1", "tickets " + late + " r3", "tickets " + other + " r4"}
	if !slices.Equal(service.runs, want) {
		t.Fatalf("deleted %q, want %q", service.runs, want)
	}
}

func TestForgetIsUnknownWhileTemporalIsAway(t *testing.T) {
	d, c, _ := desk(t, temporalSays{}, records{})
	c.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, "").Return(nil, serviceerror.NewUnavailable("away"))
	if err := d.Forget(t.Context(), order.ID, nil); !domain.IsUnknown(err) {
		t.Errorf("%v, want unknown", err)
	}
	if _, err := d.OpenWorkflow(t.Context(), order.ID, nil); !domain.IsUnknown(err) {
		t.Errorf("%v, want unknown", err)
	}
}
