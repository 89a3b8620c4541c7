package probe

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"boxoffice/workflows"
)

// A Workflow is what Temporal itself counts for one execution.
type Workflow struct {
	StateTransitions float64
	HistoryEvents    float64
	HistoryBytes     float64
}

// DescribeWorkflow asks Temporal for a workflow's counts.
func DescribeWorkflow(ctx context.Context, c client.Client, id string) (Workflow, error) {
	described, err := c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return Workflow{}, fmt.Errorf("describe workflow %s: %w", id, err)
	}
	info := described.GetWorkflowExecutionInfo()
	return Workflow{
		StateTransitions: float64(info.GetStateTransitionCount()),
		HistoryEvents:    float64(info.GetHistoryLength()),
		HistoryBytes:     float64(info.GetHistorySizeBytes()),
	}, nil
}

// TemporalVersion is the server's.
func TemporalVersion(ctx context.Context, c client.Client) (string, error) {
	info, err := c.WorkflowService().GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
	if err != nil {
		return "", fmt.Errorf("temporal: %w", err)
	}
	return info.GetServerVersion(), nil
}

// A Checkout is one in Temporal's list.
type Checkout struct {
	ID       string    // of the workflow
	Ending   string    // an order's status, or Temporal's status of a workflow that has not completed
	ClosedAt time.Time // zero while it is open
}

// checkoutsPage is how many are listed at a time.
const checkoutsPage = 1000

// checkoutsOf finds the checkouts of all sales whose ids have this prefix.
func checkoutsOf(prefix string) string {
	return fmt.Sprintf("WorkflowType = 'Checkout' AND %s STARTS_WITH '%s'", workflows.SaleAttribute.GetName(), prefix)
}

// CountClosed counts the closed checkouts, however they closed, of all sales
// whose ids begin with prefix. Temporal's list lags a little behind.
func CountClosed(ctx context.Context, c client.Client, prefix string) (int64, error) {
	counted, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Query: checkoutsOf(prefix) + " AND ExecutionStatus != 'Running'",
	})
	if err != nil {
		return 0, fmt.Errorf("count the checkouts of sales %s…: %w", prefix, err)
	}
	return counted.GetCount(), nil
}

// ListCheckouts lists all checkouts of all sales whose ids begin with prefix.
func ListCheckouts(ctx context.Context, c client.Client, prefix string) ([]Checkout, error) {
	var checkouts []Checkout
	for next := []byte(nil); ; {
		page, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query: checkoutsOf(prefix), PageSize: checkoutsPage, NextPageToken: next,
		})
		if err != nil {
			return nil, fmt.Errorf("list the checkouts of sales %s…: %w", prefix, err)
		}
		for _, info := range page.GetExecutions() {
			checkout := Checkout{ID: info.GetExecution().GetWorkflowId(), Ending: info.GetStatus().String()}
			if info.GetCloseTime() != nil {
				checkout.ClosedAt = info.GetCloseTime().AsTime()
			}
			if ending, ok := info.GetSearchAttributes().GetIndexedFields()[workflows.EndingAttribute.GetName()]; ok &&
				info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
				// Search attributes are never sealed: Temporal indexes them.
				if err := converter.GetDefaultDataConverter().FromPayload(ending, &checkout.Ending); err != nil {
					return nil, fmt.Errorf("ending of %s: %w", checkout.ID, err)
				}
			}
			checkouts = append(checkouts, checkout)
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return checkouts, nil
		}
	}
}
