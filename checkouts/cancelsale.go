package checkouts

import (
	"context"
	"fmt"
	"time"

	failurepb "go.temporal.io/api/failure/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// closeTimeout is how long to wait until no node can sell a canceled sale any more.
const closeTimeout = 8 * time.Second

// CancelSale starts the cancellation of a whole sale, or finds the one that runs or has
// ended. It returns once no node can sell any more. A *domain.UnknownError means that it
// may be under way; repeat it.
func (d *Desk) CancelSale(ctx context.Context, saleID string, at time.Time) error {
	id := workflows.CancelSaleID(saleID)
	input := workflows.CancelSaleInput{SaleID: saleID, RequestedAt: at.UTC().Truncate(time.Microsecond)}
	if err := d.startCancelSale(ctx, id, input); err != nil {
		return err
	}
	err := d.awaitClosed(ctx, id)
	if isNotFound(err) {
		return nil // it has ended, so it has closed the sale
	}
	return err
}

func (d *Desk) startCancelSale(ctx context.Context, id string, input workflows.CancelSaleInput) error {
	_, err := d.startOwed(ctx, id, "cancel the whole sale · "+input.SaleID, input.SaleID, unlessDone, workflows.CancelSale, input)
	return err
}

func (d *Desk) awaitClosed(ctx context.Context, workflowID string) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	handle, err := d.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: workflowID, UpdateName: workflows.AwaitClosedUpdate, UpdateID: "closed",
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	return fromTemporal("cancel sale", workflowID, err)
}

// CancelOrder cancels one order for the organiser. A checkout that waits for its payment
// ends canceled; a paid order is refunded. It returns the order's status, which is
// refunding while the money is on its way. Repeating it changes nothing. Errors:
// *domain.Error with CodeNotFound; *domain.UnknownError.
func (d *Desk) CancelOrder(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	status, err := d.Cancel(ctx, id)
	if domain.CodeOf(err) != domain.CodeAlreadyPaid {
		return status, err
	}
	refunded, err := d.Refund(ctx, id)
	if isNotFound(err) {
		return status, nil // it was paid too late for tickets: that money is already going back
	}
	return refunded, err
}

// The queries of a sale's workflows. A sale's id needs no quoting: see
// domain.ValidSaleID.
func checkoutsOf(saleID string) string {
	return fmt.Sprintf("Sale = '%s' AND WorkflowType = 'Checkout'", saleID)
}

const running = " AND ExecutionStatus = 'Running'"

// OpenCheckouts lists some checkouts of a sale that have not ended. Temporal's visibility
// lags a little.
func (d *Desk) OpenCheckouts(ctx context.Context, saleID string, limit int) ([]domain.OrderID, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	page, err := d.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: checkoutsOf(saleID) + running, PageSize: int32(limit),
	})
	if err != nil {
		return nil, fromTemporal("list open checkouts of", saleID, err)
	}
	ids := make([]domain.OrderID, 0, len(page.GetExecutions()))
	for _, info := range page.GetExecutions() {
		if id := unfinished(info).Order; !id.IsZero() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// CountCheckouts fills in how many of a sale's checkouts are open, how many were
// canceled since its cancellation was asked for, and how many late payments are
// open.
func (d *Desk) CountCheckouts(ctx context.Context, c *domain.SaleCancellation) error {
	since := c.RequestedAt.UTC().Format(time.RFC3339Nano)
	for query, count := range map[string]*int64{
		checkoutsOf(c.SaleID) + running: &c.OpenCheckouts,
		checkoutsOf(c.SaleID) + fmt.Sprintf(" AND Ending = '%s' AND CloseTime >= '%s'", domain.OrderCanceled, since): &c.CanceledCheckouts,
		fmt.Sprintf("Sale = '%s' AND WorkflowType = 'Late'", c.SaleID) + running:                                     &c.LatePayments,
	} {
		n, err := d.count(ctx, query)
		if err != nil {
			return fromTemporal("count the workflows of sale", c.SaleID, err)
		}
		*count = n
	}
	return nil
}

func (d *Desk) count(ctx context.Context, query string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	counted, err := d.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	return counted.GetCount(), err
}

// Waits says why a refund is not done: the last failure of its workflow. It restarts one
// that broke off. False: it has ended.
func (d *Desk) Waits(ctx context.Context, refund domain.Refund) (domain.CancelWait, bool, error) {
	wait := domain.CancelWait{Order: refund.Capture.Order, Since: refund.RequestedAt}
	if err := refund.Reason.Check(); err != nil {
		return wait, false, err // which workflow does it follows from the reason
	}
	ofOrder := refund.Reason.OfOrder()
	if ofOrder {
		wait.Workflow = workflows.RefundID(refund.Capture.Order)
	} else {
		wait.Workflow = workflows.LateID(refund.Capture.Order, refund.Capture.Payment)
	}
	wait, open, err := d.whyOpen(ctx, wait)
	switch {
	case err != nil || !open || wait.Reason != brokenOff:
		return wait, open, err
	case ofOrder:
		return wait, open, d.startRefund(ctx, wait.Order, refund.SaleID, refund.Reason)
	default:
		input := workflows.LateInput{Capture: refund.Capture, SaleID: refund.SaleID, Reason: refund.Reason}
		_, err := d.startLateAs(ctx, wait.Workflow, input, unlessDone)
		return wait, open, err
	}
}

// CheckoutWaits does the same for a checkout.
func (d *Desk) CheckoutWaits(ctx context.Context, id domain.OrderID) (domain.CancelWait, bool, error) {
	return d.whyOpen(ctx, domain.CancelWait{Order: id, Workflow: workflows.CheckoutID(id)})
}

// brokenOff is the reason for a workflow that closed without a result.
const brokenOff = "its workflow broke off: see why in the Web UI; a reset or a new start goes on with it"

// whyOpen adds what the workflow waits for. False: it has completed.
func (d *Desk) whyOpen(ctx context.Context, wait domain.CancelWait) (domain.CancelWait, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	described, err := d.temporal.DescribeWorkflowExecution(ctx, wait.Workflow, "")
	if err != nil {
		return wait, false, fromTemporal("describe", wait.Workflow, err)
	}
	info := described.GetWorkflowExecutionInfo()
	if wait.Since.IsZero() {
		wait.Since = info.GetStartTime().AsTime()
	}
	switch standingOf(info.GetStatus()) {
	case standingCompleted:
		return wait, false, nil
	case standingOpen:
		wait.Reason, wait.Attempts = d.lastFailure(described.GetPendingActivities())
	case standingBrokeOff:
		wait.Reason = brokenOff
	}
	return wait, true, nil
}

// lastFailure says which pending step fails, and how; empty if none does.
func (d *Desk) lastFailure(pending []*workflowpb.PendingActivityInfo) (reason string, attempts int32) {
	for _, activity := range pending {
		if failure := activity.GetLastFailure(); failure != nil {
			return activity.GetActivityType().GetName() + ": " + d.messageOf(failure), activity.GetAttempt()
		}
	}
	return "", 0
}

// messageOf decrypts a sealed failure.
func (d *Desk) messageOf(failure *failurepb.Failure) string {
	converter.DecodeCommonFailureAttributes(d.payloads, failure)
	return failure.GetMessage()
}
