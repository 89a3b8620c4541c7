package checkouts

import (
	"context"
	"iter"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// unfinishedQuery finds workflows that are open or closed without a result. The
// cancellation of a sale may take days, so only one that broke off belongs here.
const unfinishedQuery = "(WorkflowType IN ('Checkout', 'Late', 'Refund') AND ExecutionStatus != 'Completed')" +
	" OR (WorkflowType = 'CancelSale' AND ExecutionStatus IN ('Failed', 'Terminated', 'TimedOut'))"

// unfinishedPage is how many workflows are listed at a time.
const unfinishedPage = 1000

// Unfinished lists the workflows of all sales that have not completed. Temporal's
// visibility lags a little: a workflow that has just started or ended may be missing or
// still be listed. The list ends at the first error.
func (d *Desk) Unfinished(ctx context.Context) iter.Seq2[domain.Workflow, error] {
	return func(yield func(domain.Workflow, error) bool) {
		var next []byte
		for {
			page, err := d.listPage(ctx, next)
			if err != nil {
				yield(domain.Workflow{}, fromTemporal("list", "unfinished workflows", err))
				return
			}
			for _, info := range page.GetExecutions() {
				if !yield(unfinished(info), nil) {
					return
				}
			}
			if next = page.GetNextPageToken(); len(next) == 0 {
				return
			}
		}
	}
}

func (d *Desk) listPage(ctx context.Context, next []byte) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return d.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: unfinishedQuery, PageSize: unfinishedPage, NextPageToken: next,
	})
}

func unfinished(info *workflowpb.WorkflowExecutionInfo) domain.Workflow {
	id := info.GetExecution().GetWorkflowId()
	parts := strings.Split(id, "/")
	u := domain.Workflow{
		ID:        id,
		SaleID:    keyword(info.GetSearchAttributes(), workflows.SaleAttribute.GetName()),
		StartedAt: info.GetStartTime().AsTime(),
		Failed:    standingOf(info.GetStatus()) == standingBrokeOff,
		Checkout:  parts[0] == "checkout",
	}
	if len(parts) > 1 {
		u.Order, _ = domain.ParseOrderID(parts[1]) // zero for a workflow that somebody else started
	}
	return u
}

func keyword(attributes *commonpb.SearchAttributes, name string) string {
	var value string
	if payload, ok := attributes.GetIndexedFields()[name]; ok {
		// Search attributes are never sealed: Temporal indexes them.
		_ = converter.GetDefaultDataConverter().FromPayload(payload, &value) // empty if it is not text
	}
	return value
}

// TakeUp restarts a workflow that gives money back and broke off, with its original
// argument: a late payment, a refund, the cancellation of a sale. Each of their steps may
// be repeated. It returns false if that was already done, and for a checkout: a
// checkout's hold ends by itself, and money for it is a late payment. The error is a
// *domain.UnknownError, or a *domain.Error if Temporal does not know the workflow any
// more.
func (d *Desk) TakeUp(ctx context.Context, u domain.Workflow) (bool, error) {
	if !u.Failed || u.Checkout {
		return false, nil
	}
	now, open, err := d.whyOpen(ctx, domain.CancelWait{Workflow: u.ID}) // the list may be of an earlier run
	if err != nil || !open || now.Reason != brokenOff {
		return false, err
	}
	kind, _, _ := strings.Cut(u.ID, "/")
	switch kind {
	case "late":
		var input workflows.LateInput
		err = d.argument(ctx, u.ID, &input)
		if input.Unsealed {
			return false, nil // not ours
		}
		if err == nil {
			_, err = d.startLateAs(ctx, u.ID, input, unlessDone)
		}
	case "refund":
		var input workflows.RefundInput
		if err = d.argument(ctx, u.ID, &input); err == nil {
			_, err = d.startOwed(ctx, u.ID, "refund · "+u.SaleID, u.SaleID, unlessDone, workflows.Refund, input)
		}
	case "cancel-sale":
		var input workflows.CancelSaleInput
		if err = d.argument(ctx, u.ID, &input); err == nil {
			err = d.startCancelSale(ctx, u.ID, input)
		}
	default:
		return false, nil // somebody else's
	}
	return err == nil, err
}
