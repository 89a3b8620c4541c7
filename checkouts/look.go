package checkouts

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// Look asks Temporal for one workflow. Unlike Unfinished it does not lag. An unknown
// workflow counts as not open. The error is a *domain.UnknownError.
func (d *Desk) Look(ctx context.Context, id string) (domain.WorkflowLook, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	about, err := d.temporal.DescribeWorkflowExecution(ctx, id, "")
	err = fromTemporal("look at", id, err)
	if isNotFound(err) {
		return domain.WorkflowLook{}, nil
	}
	if err != nil {
		return domain.WorkflowLook{}, err
	}
	look := domain.WorkflowLook{Open: standingOf(about.GetWorkflowExecutionInfo().GetStatus()) == standingOpen}
	if !look.Open {
		look.ClosedAt = about.GetWorkflowExecutionInfo().GetCloseTime().AsTime()
	}
	look.WaitsFor = d.waitsFor(about)
	return look, nil
}

// A standing is what a workflow's status in Temporal means to us.
type standing string

const (
	standingOpen      standing = "open"
	standingCompleted standing = "completed"
	standingBrokeOff  standing = "broke off" // closed without a result
)

// standingOf takes a workflow for closed only if Temporal says so. A paused one goes on.
// If this release does not know the status, the workflow must not be started a second
// time.
func standingOf(status enumspb.WorkflowExecutionStatus) standing {
	switch status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return standingCompleted
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED,
		enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return standingBrokeOff
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED,
		enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED:
		return standingOpen
	default:
		return standingOpen
	}
}

// waitsFor ignores a workflow task that is being retried: a worker had it, and could not
// go on.
func (d *Desk) waitsFor(about *workflowservice.DescribeWorkflowExecutionResponse) string {
	if reason, attempts := d.lastFailure(about.GetPendingActivities()); attempts > 0 {
		return fmt.Sprintf("%s (attempt %d)", reason, attempts)
	}
	task := about.GetPendingWorkflowTask()
	if task == nil || task.GetAttempt() > 1 {
		return ""
	}
	return "a worker, since " + task.GetOriginalScheduledTime().AsTime().UTC().Format(time.RFC3339)
}

// Working returns the id of a workflow that works on an order, or on a payment for it, or did
// since then; empty if none does. It compares with Temporal's clock, which may be behind ours, and does not
// lag. The error is a *domain.UnknownError.
func (d *Desk) Working(ctx context.Context, order domain.OrderID, payment string, since time.Time) (workflowID string, err error) {
	ids := []string{workflows.CheckoutID(order), workflows.RefundID(order)}
	if payment != "" {
		ids = append(ids, workflows.LateID(order, payment))
	}
	for _, id := range ids {
		look, err := d.Look(ctx, id)
		switch {
		case err != nil:
			return "", err
		case look.Open || look.ClosedAt.After(since.Add(-domain.ClockSkewMax)):
			return id, nil
		}
	}
	return "", nil
}
