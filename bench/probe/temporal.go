package probe

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// A Workflow is what Temporal itself counts of one execution.
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
