package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
)

// CancelSaleInput asks for the cancellation of a whole sale. The fields after the first
// two say how far an earlier run of the same workflow came.
type CancelSaleInput struct {
	SaleID      string    `json:"sale"`
	RequestedAt time.Time `json:"requested_at"`

	Closed   bool                    `json:"closed,omitempty"`
	After    domain.OrderID          `json:"after,omitzero"` // where the sweep of paid orders goes on
	Progress domain.SaleCancellation `json:"progress,omitzero"`
}

const (
	// cancelPauseMin and cancelPauseMax limit the time between two rounds: short while
	// something moves, longer while everything waits for someone else.
	cancelPauseMin = time.Second
	cancelPauseMax = 30 * time.Second
	// refundsWaitingMax is how many refunds may wait for the provider at a time; each
	// retries by itself. Above that, each round tries one more: once that goes through,
	// the provider is back.
	refundsWaitingMax = 100
)

// CancelSale cancels a whole sale. No node sells any more, every open checkout is
// canceled, every paid order is refunded, and it goes on until nothing of the sale is
// held, sold or owed. Its result is the last count.
//
// It decides nothing about an order. Checkouts end by their own workflow's cancel,
// refunds are the workflows refund/<order>, and money that comes late is Late's, which
// finds nothing to rebook. It remembers nothing about them and counts again instead, so
// the next round finds whatever a crash lost. Histories stay short: a batch is one
// activity, and the workflow continues as a new run when the server suggests it.
func CancelSale(ctx workflow.Context, input CancelSaleInput) (domain.SaleCancellation, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx) // a sale must not stay half canceled
	c := &saleCancel{CancelSaleInput: input}
	if err := c.listen(ctx); err != nil {
		return c.Progress, err
	}
	if err := c.close(ctx); err != nil {
		return c.Progress, err
	}
	for pause := cancelPauseMin; ; {
		moved, err := c.round(ctx)
		if err != nil || c.finished(ctx) {
			return c.Progress, err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx) {
			return c.Progress, workflow.NewContinueAsNewError(ctx, CancelSale, c.CancelSaleInput)
		}
		if moved {
			pause = cancelPauseMin
		}
		if err := pauseFor(ctx, pause); err != nil {
			return c.Progress, err
		}
		pause = min(2*pause, cancelPauseMax)
	}
}

// cancelActs is never called. It only gives the activities their names.
var cancelActs *activities.SaleCancel

// saleCancel is the state of one run.
type saleCancel struct{ CancelSaleInput }

// listen registers what can be asked of a cancellation.
func (c *saleCancel) listen(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, StateQuery, func() (domain.SaleCancellation, error) { return c.Progress, nil }); err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, AwaitClosedUpdate,
		func(ctx workflow.Context) error { return awaitAnswer(ctx, func() bool { return c.Closed }) },
		workflow.UpdateHandlerOptions{Description: "Waits until no node can sell any more."})
}

func (c *saleCancel) sale() activities.SaleToCancel {
	return activities.SaleToCancel{SaleID: c.SaleID, RequestedAt: c.RequestedAt}
}

// close ends the sale for buyers, once.
func (c *saleCancel) close(ctx workflow.Context) error {
	if c.Closed {
		return nil
	}
	c.Progress = domain.SaleCancellation{SaleID: c.SaleID, RequestedAt: c.RequestedAt, Stage: domain.CancelClosing}
	c.tell(ctx)
	if err := batchOfSale(ctx, "no more sales: mark the sale, drain its stock", cancelActs.CloseSale, c.sale(), nil); err != nil {
		return fmt.Errorf("close sale %s: %w", c.SaleID, err)
	}
	c.Closed = true
	return nil
}

// round cancels one batch, refunds one batch, and counts what is left. It reports whether
// anything ended.
func (c *saleCancel) round(ctx workflow.Context) (moved bool, err error) {
	if err := batchOfSale(ctx, "drain what came back, count what is left", cancelActs.SurveyCancellation, c.sale(), &c.Progress); err != nil {
		return false, fmt.Errorf("survey of sale %s: %w", c.SaleID, err)
	}
	c.tell(ctx)
	if c.Progress.OpenCheckouts > 0 {
		var batch activities.CanceledBatch
		if err := batchOfSale(ctx, "cancel open checkouts", cancelActs.CancelCheckouts, c.sale(), &batch); err != nil {
			return false, fmt.Errorf("cancel checkouts of sale %s: %w", c.SaleID, err)
		}
		moved = batch.Settled > 0
	}
	if c.Progress.OrdersToRefund > 0 {
		var batch activities.CanceledBatch
		if err := batchOfSale(ctx, "refund paid orders", cancelActs.RefundOrders, c.refundBatch(), &batch); err != nil {
			return false, fmt.Errorf("refund orders of sale %s: %w", c.SaleID, err)
		}
		c.After = batch.Next
		moved = moved || batch.Settled > 0
	}
	return moved, nil
}

func (c *saleCancel) refundBatch() activities.RefundBatch {
	room := refundsWaitingMax - int(c.Progress.OrdersRefunding)
	return activities.RefundBatch{SaleID: c.SaleID, After: c.After, WaitingMax: max(1, room)}
}

// finished waits for pending updates, so that everybody gets an answer.
func (c *saleCancel) finished(ctx workflow.Context) bool {
	return c.Progress.Stage == domain.CancelFinished && workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }) == nil
}

// tell shows its progress as the workflow's current details.
func (c *saleCancel) tell(ctx workflow.Context) {
	p := &c.Progress
	workflow.SetCurrentDetails(ctx, fmt.Sprintf(
		"**%s** · checkouts: %d open, %d canceled · orders: %d to refund, %d refunding, %d refunded · late payments: %d · tickets: %d held, %d sold",
		p.Stage, p.OpenCheckouts, p.CanceledCheckouts, p.OrdersToRefund, p.OrdersRefunding, p.OrdersRefunded, p.LatePayments, p.HeldTickets, p.SoldTickets))
}

func pauseFor(ctx workflow.Context, pause time.Duration) error {
	return workflow.NewTimerWithOptions(ctx, pause, workflow.TimerOptions{Summary: "until the next round"}).Get(ctx, nil)
}
