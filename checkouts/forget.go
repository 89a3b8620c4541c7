package checkouts

import (
	"context"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// forgetPage is how many runs are listed at a time.
const forgetPage = 100

// A run is one execution of a workflow about an order.
type run struct {
	execution *commonpb.WorkflowExecution
	isOpen    bool
}

// OpenWorkflow names a workflow that still works on an order or on one of the payments that
// named it; empty: none does. The error is a *domain.UnknownError.
func (d *Desk) OpenWorkflow(ctx context.Context, order domain.OrderID, payments []string) (string, error) {
	runs, err := d.runsOf(ctx, order, payments)
	for _, r := range runs {
		if r.isOpen {
			return r.execution.GetWorkflowId(), err
		}
	}
	return "", err
}

// Forget has Temporal delete what it keeps of an order: the runs that have ended, with
// their histories. They hold the order as it was placed. Temporal deletes them a moment
// later. It may be repeated. The error is a *domain.UnknownError.
func (d *Desk) Forget(ctx context.Context, order domain.OrderID, payments []string) error {
	runs, err := d.runsOf(ctx, order, payments)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.isOpen {
			continue
		}
		// By its run: Temporal would terminate an open one.
		err := d.forgetRun(ctx, r.execution)
		if err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}

func (d *Desk) forgetRun(ctx context.Context, execution *commonpb.WorkflowExecution) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := d.temporal.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: d.Namespace, WorkflowExecution: execution,
	})
	return fromTemporal("delete workflow", execution.GetWorkflowId(), err)
}

// runsOf finds the runs of all workflows about an order. The latest of each is asked for by
// its id; earlier ones, and those of payments that nobody recorded, are in the list, which
// lags a little.
func (d *Desk) runsOf(ctx context.Context, order domain.OrderID, payments []string) (runs []run, err error) {
	seen := make(map[string]bool)
	add := func(r run) {
		if id := r.execution.GetRunId(); !seen[id] {
			seen[id] = true
			runs = append(runs, r)
		}
	}
	ids := []string{workflows.CheckoutID(order), workflows.RefundID(order)}
	for _, payment := range payments {
		ids = append(ids, workflows.LateID(order, payment))
	}
	for _, id := range ids {
		latest, found, err := d.latestRun(ctx, id)
		switch {
		case err != nil:
			return runs, err
		case found:
			add(latest)
		}
	}
	query := fmt.Sprintf("WorkflowId IN ('%s', '%s') OR WorkflowId STARTS_WITH '%s'", ids[0], ids[1], workflows.LateID(order, ""))
	for next := []byte(nil); ; {
		page, err := d.runsPage(ctx, query, next)
		if err != nil {
			return runs, fromTemporal("list the workflows of", order.String(), err)
		}
		for _, info := range page.GetExecutions() {
			add(run{info.GetExecution(), standingOf(info.GetStatus()) == standingOpen})
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return runs, nil
		}
	}
}

func (d *Desk) latestRun(ctx context.Context, id string) (r run, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	about, err := d.temporal.DescribeWorkflowExecution(ctx, id, "")
	err = fromTemporal("look at", id, err)
	if isNotFound(err) {
		return run{}, false, nil
	}
	info := about.GetWorkflowExecutionInfo()
	return run{info.GetExecution(), standingOf(info.GetStatus()) == standingOpen}, err == nil, err
}

func (d *Desk) runsPage(ctx context.Context, query string, next []byte) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return d.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: forgetPage, NextPageToken: next})
}
