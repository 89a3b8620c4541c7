package activities

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"boxoffice/domain"
)

// A Drainer ends a sale in the ledger: it takes back what is available of every stock and
// returns the levels afterwards.
type Drainer interface {
	Drain(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
}

// Cancellations is what the cancellation of a sale needs from the database.
type Cancellations interface {
	Sale(ctx context.Context, id string) (*domain.Sale, error)
	BeginCancellation(ctx context.Context, saleID string, at time.Time) (domain.SaleCancellation, error)
	SaveCancellation(ctx context.Context, c domain.SaleCancellation) error
	// DueRefunds fills in what Postgres counts: orders to refund, and late payments that
	// are owed.
	DueRefunds(ctx context.Context, c *domain.SaleCancellation) error
	// PaidOrders returns the ids of orders with valid tickets, sorted, after the given
	// one.
	PaidOrders(ctx context.Context, saleID string, after domain.OrderID, limit int) ([]domain.OrderID, error)
	// OwedRefunds returns the refunds that have waited longest.
	OwedRefunds(ctx context.Context, saleID string, limit int) ([]domain.Refund, error)
}

// A Canceler reaches the workflows of single orders. Each call has a timeout.
type Canceler interface {
	// OpenCheckouts lists some checkouts of a sale that have not ended.
	OpenCheckouts(ctx context.Context, saleID string, limit int) ([]domain.OrderID, error)
	// CountCheckouts fills in what Temporal counts: open and canceled checkouts,
	// open late payments.
	CountCheckouts(ctx context.Context, c *domain.SaleCancellation) error
	// Cancel ends a checkout that waits for its payment. A *domain.Error with
	// CodeAlreadyPaid means that it was paid: refund its order.
	Cancel(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error)
	// RefundFor gives a paid order's money back for the given reason. It returns
	// refunding if that takes longer than it waits.
	RefundFor(ctx context.Context, id domain.OrderID, reason domain.RefundReason) (domain.OrderStatus, error)
	// Waits says why a workflow has not ended, and restarts a refund that broke off.
	// False: it has ended.
	Waits(ctx context.Context, refund domain.Refund) (domain.CancelWait, bool, error)
	// CheckoutWaits is the same for a checkout.
	CheckoutWaits(ctx context.Context, id domain.OrderID) (domain.CancelWait, bool, error)
}

// SaleCancel has the activities that cancel a whole sale. They are part of Activities,
// and apart only because nothing else needs their options.
type SaleCancel struct {
	Drainer       Drainer
	Cancellations Cancellations
	Canceler      Canceler
	// PerSecond is how many orders it starts to cancel in a second; default
	// CancelsPerSecond.
	PerSecond int
	// SecondLook is how long it waits to look again before the cancellation counts as
	// finished; default 2 s.
	SecondLook time.Duration
	Now        func() time.Time // default time.Now
}

// Limits of a sale's cancellation. They protect the payment provider, and leave the box
// office to buyers in other sales.
const (
	// CancelsPerSecond is how many orders of one sale start to be canceled in a second,
	// over all nodes. Each takes one or two calls to the provider.
	CancelsPerSecond = 50
	// cancelsAtOnceMax is how many run at the same time.
	cancelsAtOnceMax = 16
	// CancelBatchFor is how long one batch starts new orders. It then waits for those
	// under way; the Desk's own timeouts end them.
	CancelBatchFor = 5 * time.Second
	// CancelBatchMax is how many orders one batch looks at.
	CancelBatchMax = 250
	// cancelWaitsShown is how many waiting orders are looked into, within cancelLookFor.
	cancelWaitsShown = 5
	cancelLookFor    = 5 * time.Second
)

// SaleToCancel names a sale, and when its cancellation was asked for.
type SaleToCancel struct {
	SaleID      string    `json:"sale"`
	RequestedAt time.Time `json:"requested_at"`
}

// CloseSale ends a sale. Every node reads that it is canceled, and nodes that do not know
// yet find nothing left in the ledger. It fails for good if the sale does not exist.
func (a *SaleCancel) CloseSale(ctx context.Context, input SaleToCancel) error {
	begun, err := a.Cancellations.BeginCancellation(ctx, input.SaleID, input.RequestedAt)
	if err != nil {
		return forWorkflow(noSuchSale(err))
	}
	if _, err := a.drain(ctx, input.SaleID); err != nil {
		return untilDone(err)
	}
	if begun.Stage != domain.CancelClosing {
		return nil // this was done before, and more
	}
	begun.Stage = domain.CancelReleasing
	return untilDone(a.Cancellations.SaveCancellation(ctx, begun))
}

// untilDone is for all that follows. A fault of ours must not end the cancellation of a
// sale, which owes the buyers their money.
func untilDone(err error) error {
	if err == nil {
		return nil
	}
	return retryable(err)
}

// noSuchSale makes a missing sale an error that is not retried.
func noSuchSale(err error) error {
	if domain.CodeOf(err) == domain.CodeNotFound {
		return &domain.Error{Code: domain.CodeInvalid, Detail: "There is no such sale to cancel.", Err: err}
	}
	return err
}

func (a *SaleCancel) drain(ctx context.Context, saleID string) ([]domain.StockLevel, error) {
	sale, err := a.Cancellations.Sale(ctx, saleID)
	if err != nil {
		return nil, err
	}
	return a.Drainer.Drain(ctx, sale)
}

// SurveyCancellation drains what came back, counts what is left to do, looks into what
// has waited longest, and stores all that for the organiser to read.
func (a *SaleCancel) SurveyCancellation(ctx context.Context, input SaleToCancel) (domain.SaleCancellation, error) {
	c, err := a.count(ctx, input)
	if err == nil && c.Done() {
		// Temporal lists a late payment only a moment after it starts. So a sale is
		// finished when two looks in a row find nothing left.
		select {
		case <-time.After(a.secondLook()):
		case <-ctx.Done():
			return c, untilDone(ctx.Err())
		}
		c, err = a.count(ctx, input)
	}
	if err != nil {
		return c, untilDone(err)
	}
	c = c.WithStage(a.now())
	a.lookIntoWaits(ctx, &c)
	return c, untilDone(a.Cancellations.SaveCancellation(ctx, c))
}

// secondLookAfter is much longer than Temporal's visibility takes to list a new workflow.
const secondLookAfter = 2 * time.Second

func (a *SaleCancel) secondLook() time.Duration {
	if a.SecondLook > 0 {
		return a.SecondLook
	}
	return secondLookAfter
}

// count counts what is left to do.
func (a *SaleCancel) count(ctx context.Context, input SaleToCancel) (domain.SaleCancellation, error) {
	c := domain.SaleCancellation{SaleID: input.SaleID, RequestedAt: input.RequestedAt}
	// Temporal first and the ledger last. What ends in between has left its trace further
	// down, so nothing open escapes all three.
	if err := a.Canceler.CountCheckouts(ctx, &c); err != nil {
		return c, err
	}
	if err := a.countTickets(ctx, &c); err != nil {
		return c, err
	}
	return c, a.Cancellations.DueRefunds(ctx, &c)
}

func (a *SaleCancel) now() time.Time {
	if a.Now != nil {
		return a.Now().UTC()
	}
	return time.Now().UTC()
}

// countTickets counts the classes only: a refunded order keeps its perk.
func (a *SaleCancel) countTickets(ctx context.Context, c *domain.SaleCancellation) error {
	sale, err := a.Cancellations.Sale(ctx, c.SaleID)
	if err != nil {
		return err
	}
	levels, err := a.Drainer.Drain(ctx, sale)
	if err != nil {
		return err
	}
	for _, level := range levels {
		if sale.Perk != nil && level.Ledger == sale.Perk.Ledger {
			continue
		}
		c.HeldTickets += level.Held
		c.SoldTickets += level.Sold
		c.AvailableTickets += level.Available
	}
	return nil
}

// lookIntoWaits says what some of them wait for. It is for show only, so what cannot be
// read in time is left out.
func (a *SaleCancel) lookIntoWaits(ctx context.Context, c *domain.SaleCancellation) {
	ctx, cancel := context.WithTimeout(ctx, cancelLookFor)
	defer cancel()
	if c.OrdersRefunding > 0 || c.LatePayments > 0 {
		owed, _ := a.Cancellations.OwedRefunds(ctx, c.SaleID, cancelWaitsShown)
		for _, refund := range owed {
			wait, waits, err := a.Canceler.Waits(ctx, refund)
			c.Waiting = appendWait(c.Waiting, wait, waits && err == nil)
		}
	}
	if c.OpenCheckouts > 0 {
		open, _ := a.Canceler.OpenCheckouts(ctx, c.SaleID, cancelWaitsShown)
		for _, id := range open {
			wait, waits, err := a.Canceler.CheckoutWaits(ctx, id)
			c.Waiting = appendWait(c.Waiting, wait, waits && err == nil)
		}
	}
}

// appendWait drops waits without a reason: a workflow that just began has none yet.
func appendWait(waits []domain.CancelWait, wait domain.CancelWait, known bool) []domain.CancelWait {
	if !known || wait.Reason == "" {
		return waits
	}
	return append(waits, wait)
}

// CanceledBatch says what one batch achieved.
type CanceledBatch struct {
	// Settled orders are canceled or refunded, or need neither.
	Settled int `json:"settled"`
	// Unsettled orders are under way, or could not be reached.
	Unsettled int `json:"unsettled"`
	// Next is where the following batch starts; zero: at the beginning.
	Next domain.OrderID `json:"next,omitzero"`
}

// CancelCheckouts cancels a batch of a sale's open checkouts. The provider decides
// whether one was paid; paid ones are refunded with the others.
func (a *SaleCancel) CancelCheckouts(ctx context.Context, input SaleToCancel) (CanceledBatch, error) {
	open, err := a.Canceler.OpenCheckouts(ctx, input.SaleID, CancelBatchMax)
	if err != nil {
		return CanceledBatch{}, untilDone(err)
	}
	// Start with another order each time, so that those that cannot end do not keep
	// others waiting.
	rand.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	batch, _ := a.each(ctx, open, len(open), func(ctx context.Context, id domain.OrderID) bool {
		_, err := a.Canceler.Cancel(ctx, id)
		switch domain.CodeOf(err) {
		case domain.CodeAlreadyPaid, domain.CodeNotFound:
			return true
		default:
			return err == nil
		}
	})
	return batch, nil
}

// RefundBatch asks for the refund of a sale's paid orders after a cursor.
type RefundBatch struct {
	SaleID string         `json:"sale"`
	After  domain.OrderID `json:"after,omitzero"` // zero: from the beginning
	// WaitingMax ends the batch once this many refunds wait for the provider.
	WaitingMax int `json:"waiting_max"`
}

// RefundOrders starts the refunds of a batch of paid orders. Each is a workflow of its
// own that goes on until the provider has taken it; RefundOrders waits a little for each.
func (a *SaleCancel) RefundOrders(ctx context.Context, input RefundBatch) (CanceledBatch, error) {
	paid, err := a.Cancellations.PaidOrders(ctx, input.SaleID, input.After, CancelBatchMax)
	if err != nil {
		return CanceledBatch{}, untilDone(err)
	}
	batch, begun := a.each(ctx, paid, input.WaitingMax, func(ctx context.Context, id domain.OrderID) bool {
		status, err := a.Canceler.RefundFor(ctx, id, domain.RefundSaleCanceled)
		return err == nil && status == domain.OrderRefunded
	})
	if begun == len(paid) && len(paid) < CancelBatchMax {
		return batch, nil // the last page: the next sweep starts over
	}
	if begun > 0 {
		batch.Next = paid[begun-1]
	} else {
		batch.Next = input.After
	}
	return batch, nil
}

// each runs one step per order, at the pace and parallelism that the limits allow, until
// the batch's time is over or too many are unsettled. It returns how many it started; all
// of those have returned.
func (a *SaleCancel) each(
	ctx context.Context,
	orders []domain.OrderID,
	unsettledMax int,
	do func(context.Context, domain.OrderID) bool,
) (batch CanceledBatch, begun int) {
	pace := time.NewTicker(time.Second / time.Duration(a.perSecond()))
	defer pace.Stop()
	over := time.NewTimer(CancelBatchFor)
	defer over.Stop()
	slots := make(chan struct{}, min(cancelsAtOnceMax, max(1, unsettledMax)))
	var mu sync.Mutex
	var running sync.WaitGroup
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return batch.Unsettled >= unsettledMax
	}
	for ; begun < len(orders); begun++ {
		select {
		case slots <- struct{}{}:
		case <-over.C:
			running.Wait()
			return batch, begun
		}
		if enough() || ctx.Err() != nil {
			break
		}
		id := orders[begun]
		running.Go(func() {
			settled := do(ctx, id)
			mu.Lock()
			if settled {
				batch.Settled++
			} else {
				batch.Unsettled++
			}
			mu.Unlock()
			<-slots
		})
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
	running.Wait()
	return batch, begun
}

func (a *SaleCancel) perSecond() int {
	if a.PerSecond > 0 {
		return a.PerSecond
	}
	return CancelsPerSecond
}
