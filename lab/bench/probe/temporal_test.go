package probe

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"boxoffice/workflows"
)

// visibility lists pages, as Temporal does: the token is the next one's number.
type visibility struct {
	client.Client
	pages   [][]*workflowpb.WorkflowExecutionInfo
	queries []string
}

func (v *visibility) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	v.queries = append(v.queries, r.GetQuery())
	page := len(r.GetNextPageToken())
	answer := &workflowservice.ListWorkflowExecutionsResponse{Executions: v.pages[page]}
	if page+1 < len(v.pages) {
		answer.NextPageToken = make([]byte, page+1)
	}
	return answer, nil
}

func (v *visibility) CountWorkflow(_ context.Context, r *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	v.queries = append(v.queries, r.GetQuery())
	return &workflowservice.CountWorkflowExecutionsResponse{Count: 7}, nil
}

// A completed checkout is identified by its ending; one that failed or runs on, by
// Temporal's word.
func TestCheckoutsAreListed(t *testing.T) {
	closed := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	expired, err := converter.GetDefaultDataConverter().ToPayload("expired")
	if err != nil {
		t.Fatal(err)
	}
	info := func(id string, status enumspb.WorkflowExecutionStatus, closed time.Time) *workflowpb.WorkflowExecutionInfo {
		i := &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: id}, Status: status,
			SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{workflows.EndingAttribute.GetName(): expired}},
		}
		if !closed.IsZero() {
			i.CloseTime = timestamppb.New(closed)
		}
		return i
	}
	running := info("c", enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, time.Time{})
	v := &visibility{pages: [][]*workflowpb.WorkflowExecutionInfo{
		{info("a", enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, closed), info("b", enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, closed)}, {running},
	}}
	got, err := ListCheckouts(t.Context(), v, "bench-1-")
	want := []Checkout{{"a", "expired", closed}, {"b", "Failed", closed}, {"c", "Running", time.Time{}}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	n, err := CountClosed(t.Context(), v, "bench-1-")
	if err != nil || n != 7 {
		t.Errorf("%d closed, %v", n, err)
	}
	for i, query := range v.queries {
		if !strings.Contains(query, "WorkflowType = 'Checkout' AND Sale STARTS_WITH 'bench-1-'") {
			t.Errorf("request %d asks for %q", i, query)
		}
	}
	if last := v.queries[len(v.queries)-1]; !strings.HasSuffix(last, "AND ExecutionStatus != 'Running'") {
		t.Errorf("the closed ones are counted by %q", last)
	}
}
