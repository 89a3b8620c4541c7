package checkouts

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// Cells says in which cell something is. cells.Directory is one.
type Cells interface {
	// OfSale fails with CodeNotFound.
	OfSale(ctx context.Context, saleID string) (string, error)
	// OfOrder does not know orders that never held anything; nor others, while the parts
	// that know do not answer.
	OfOrder(ctx context.Context, order domain.OrderID) (cell string, known bool, err error)
	// Learn remembers where an order is.
	Learn(order domain.OrderID, cell string)
}

// Desks are the desks of all cells, and the Desk of the box office: each question goes to the desk
// in whose cell the workflow is. With the default cell alone it asks nobody where that is. It is
// safe for concurrent use.
type Desks struct {
	cells Cells
	desks map[string]*Desk
	names []string // the default cell first
}

// NewDesks takes the desk of the default cell, and those of others by the cells' names.
func NewDesks(cells Cells, fallback *Desk, others map[string]*Desk) *Desks {
	d := &Desks{cells: cells, desks: map[string]*Desk{"": fallback}, names: []string{""}}
	for name, desk := range others {
		d.desks[name] = desk
		d.names = append(d.names, name)
	}
	slices.Sort(d.names)
	return d
}

// StartHere sets Desk.StartsHere of a cell's desk. Call it before checkouts start.
func (d *Desks) StartHere(cell string, here func() bool) { d.desks[cell].StartsHere = here }

func (d *Desks) several() bool { return len(d.desks) > 1 }

// in returns the desk of a cell. Nothing was done if this process does not have it.
func (d *Desks) in(cell string) (*Desk, error) {
	if desk, ok := d.desks[cell]; ok {
		return desk, nil
	}
	return nil, &domain.Error{
		Code: domain.CodeOverloaded, RetryAfter: time.Minute,
		Detail: "The part of the box office that this sale is in is not configured here. Nothing was done.",
		Err:    fmt.Errorf("cell %q is not in TEMPORAL_CELLS", cell),
	}
}

func (d *Desks) ofSale(ctx context.Context, saleID string) (*Desk, error) {
	if !d.several() {
		return d.desks[""], nil
	}
	cell, err := d.cells.OfSale(ctx, saleID)
	if err != nil {
		return nil, err
	}
	return d.in(cell)
}

// of finds the desk of an order. An order that holds and held nothing is nowhere in the books; then
// the cell is the one that knows its checkout. The default cell has what no cell knows, once all of
// them have said so: money for it goes back, and must not if a cell that is away may know more.
func (d *Desks) of(ctx context.Context, order domain.OrderID) (*Desk, error) {
	if !d.several() {
		return d.desks[""], nil
	}
	cell, known, unsaid := d.cells.OfOrder(ctx, order)
	if known {
		return d.in(cell)
	}
	for _, name := range d.names {
		_, found, err := d.desks[name].latestRun(ctx, workflows.CheckoutID(order))
		switch {
		case err != nil:
			unsaid = errors.Join(unsaid, fmt.Errorf("cell %q: %w", name, err))
		case found:
			d.cells.Learn(order, name)
			return d.desks[name], nil
		}
	}
	if unsaid != nil {
		return nil, &domain.UnknownError{Op: "find the cell of order", ID: order.String(), Err: unsaid}
	}
	return d.desks[""], nil
}

// CellOf names the cell of an order, for those who keep the cells apart but not their workflows. It is the
// default cell if nobody can say.
func (d *Desks) CellOf(ctx context.Context, order domain.OrderID) string {
	if !d.several() {
		return ""
	}
	cell, _, _ := d.cells.OfOrder(ctx, order) // empty if it is not known
	return cell
}

// ask asks an order's desk.
func ask[T any](ctx context.Context, d *Desks, order domain.OrderID, question func(*Desk) (T, error)) (T, error) {
	desk, err := d.of(ctx, order)
	if err != nil {
		var none T
		return none, err
	}
	return question(desk)
}

// Start is Desk.Start, in the order's own cell.
func (d *Desks) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	desk, err := d.in(order.Cell)
	if err != nil {
		return domain.HoldAnswer{}, err
	}
	answer, err := desk.Start(ctx, order)
	if err == nil && d.several() {
		d.cells.Learn(order.ID, order.Cell)
	}
	return answer, err
}

// State is Desk.State.
func (d *Desks) State(ctx context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	return ask(ctx, d, id, func(desk *Desk) (domain.CheckoutState, error) { return desk.State(ctx, id) })
}

// Cancel is Desk.Cancel.
func (d *Desks) Cancel(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	return ask(ctx, d, id, func(desk *Desk) (domain.OrderStatus, error) { return desk.Cancel(ctx, id) })
}

// OpenPayment is Desk.OpenPayment.
func (d *Desks) OpenPayment(ctx context.Context, id domain.OrderID, wish domain.PayWish) (domain.PayPage, error) {
	return ask(ctx, d, id, func(desk *Desk) (domain.PayPage, error) { return desk.OpenPayment(ctx, id, wish) })
}

// Pay is Desk.Pay.
func (d *Desks) Pay(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error) {
	if event.Type == domain.PaymentReversed {
		return d.Reverse(ctx, event.Reversal)
	}
	return ask(ctx, d, event.Order, func(desk *Desk) (domain.PayResult, error) { return desk.Pay(ctx, event) })
}

// Reverse is Desk.Reverse. Which order it is about is known once it is on record.
func (d *Desks) Reverse(ctx context.Context, r domain.Reversal) (domain.PayResult, error) {
	return d.desks[""].reverse(ctx, r, func(ctx context.Context, noted *domain.NotedReversal) error {
		desk, err := d.of(ctx, noted.Order)
		if err != nil {
			return err
		}
		return desk.refundRest(ctx, noted)
	})
}

// Refund is Desk.Refund.
func (d *Desks) Refund(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	return d.RefundFor(ctx, id, domain.RefundByOrganiser)
}

// RefundFor is Desk.RefundFor.
func (d *Desks) RefundFor(ctx context.Context, id domain.OrderID, reason domain.RefundReason) (domain.OrderStatus, error) {
	return ask(ctx, d, id, func(desk *Desk) (domain.OrderStatus, error) { return desk.RefundFor(ctx, id, reason) })
}

// CancelOrder is Desk.CancelOrder.
func (d *Desks) CancelOrder(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	return ask(ctx, d, id, func(desk *Desk) (domain.OrderStatus, error) { return desk.CancelOrder(ctx, id) })
}

// CancelSale is Desk.CancelSale.
func (d *Desks) CancelSale(ctx context.Context, saleID string, at time.Time) error {
	desk, err := d.ofSale(ctx, saleID)
	if err != nil {
		return err
	}
	return desk.CancelSale(ctx, saleID, at)
}

// OpenCheckouts is Desk.OpenCheckouts.
func (d *Desks) OpenCheckouts(ctx context.Context, saleID string, limit int) ([]domain.OrderID, error) {
	desk, err := d.ofSale(ctx, saleID)
	if err != nil {
		return nil, err
	}
	return desk.OpenCheckouts(ctx, saleID, limit)
}

// CountCheckouts is Desk.CountCheckouts.
func (d *Desks) CountCheckouts(ctx context.Context, c *domain.SaleCancellation) error {
	desk, err := d.ofSale(ctx, c.SaleID)
	if err != nil {
		return err
	}
	return desk.CountCheckouts(ctx, c)
}

// Waits is Desk.Waits.
func (d *Desks) Waits(ctx context.Context, refund domain.Refund) (wait domain.CancelWait, open bool, err error) {
	desk, err := d.of(ctx, refund.Capture.Order)
	if err != nil {
		return domain.CancelWait{Order: refund.Capture.Order, Since: refund.RequestedAt}, false, err
	}
	return desk.Waits(ctx, refund)
}

// CheckoutWaits is Desk.CheckoutWaits.
func (d *Desks) CheckoutWaits(ctx context.Context, id domain.OrderID) (wait domain.CancelWait, open bool, err error) {
	desk, err := d.of(ctx, id)
	if err != nil {
		return domain.CancelWait{Order: id}, false, err
	}
	return desk.CheckoutWaits(ctx, id)
}

// OpenWorkflow is Desk.OpenWorkflow.
func (d *Desks) OpenWorkflow(ctx context.Context, order domain.OrderID, payments []string) (string, error) {
	return ask(ctx, d, order, func(desk *Desk) (string, error) { return desk.OpenWorkflow(ctx, order, payments) })
}

// Forget is Desk.Forget.
func (d *Desks) Forget(ctx context.Context, order domain.OrderID, payments []string) error {
	desk, err := d.of(ctx, order)
	if err != nil {
		return err
	}
	return desk.Forget(ctx, order, payments)
}

// Remember is Desk.Remember.
func (d *Desks) Remember(ctx context.Context, id domain.OrderID, payments []string) (domain.RememberedOrder, error) {
	return ask(ctx, d, id, func(desk *Desk) (domain.RememberedOrder, error) { return desk.Remember(ctx, id, payments) })
}

// Working is Desk.Working.
func (d *Desks) Working(ctx context.Context, order domain.OrderID, payment string, since time.Time) (workflowID string, err error) {
	return ask(ctx, d, order, func(desk *Desk) (string, error) { return desk.Working(ctx, order, payment, since) })
}

// Look is Desk.Look. A workflow's id names what it is about.
func (d *Desks) Look(ctx context.Context, id string) (domain.WorkflowLook, error) {
	desk, err := d.ofWorkflow(ctx, id)
	if err != nil {
		return domain.WorkflowLook{}, err
	}
	return desk.Look(ctx, id)
}

func (d *Desks) ofWorkflow(ctx context.Context, id string) (*Desk, error) {
	_, about, _ := strings.Cut(id, "/")
	about, _, _ = strings.Cut(about, "/")
	if order, err := domain.ParseOrderID(about); err == nil {
		return d.of(ctx, order)
	}
	if id == workflows.CancelSaleID(about) {
		return d.ofSale(ctx, about)
	}
	return d.desks[""], nil // somebody else's
}

// Unfinished lists the workflows of a sale that have not completed, and those of other sales in its cell;
// of nil, those of all cells. It may list others of the sale's cell, and lags a little, like Desk.Unfinished. A cell that does
// not answer does not keep back what the others have: its error comes last.
func (d *Desks) Unfinished(ctx context.Context, sale *domain.Sale) iter.Seq2[domain.Workflow, error] {
	return func(yield func(domain.Workflow, error) bool) {
		names := d.names
		if sale != nil {
			names = []string{sale.Cell}
		}
		var unread error
		for _, name := range names {
			desk, err := d.in(name)
			if err != nil {
				unread = errors.Join(unread, err)
				continue
			}
			for workflow, err := range desk.Unfinished(ctx) {
				if err != nil {
					unread = errors.Join(unread, fmt.Errorf("cell %q: %w", name, err))
					break
				}
				workflow.Cell = name
				if !yield(workflow, nil) {
					return
				}
			}
		}
		if unread != nil {
			yield(domain.Workflow{}, unread)
		}
	}
}

// TakeUp is Desk.TakeUp, in the cell that the workflow was found in.
func (d *Desks) TakeUp(ctx context.Context, u domain.Workflow) (bool, error) {
	desk, err := d.in(u.Cell)
	if err != nil {
		return false, err
	}
	return desk.TakeUp(ctx, u)
}
