package checkouts_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"boxoffice/checkouts"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// cell is a Temporal that is away, or knows nothing but some open workflows. It counts what it is asked.
type cell struct {
	client.Client
	away  bool
	knows []string
	calls []string
}

func (c *cell) says(call, id string) error {
	c.calls = append(c.calls, call+" "+id)
	if c.away {
		return serviceerror.NewUnavailable("away")
	}
	return serviceerror.NewNotFound("no such workflow")
}

func (c *cell) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	err := c.says("start", o.ID)
	if c.away {
		return nil, err
	}
	return nil, nil
}

func (c *cell) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return nil, c.says("update", o.WorkflowID)
}

func (c *cell) SignalWorkflow(_ context.Context, id, _, _ string, _ any) error {
	return c.says("signal", id)
}

func (c *cell) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	err := c.says("describe", id)
	if c.away || !slices.Contains(c.knows, id) {
		return nil, err
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: c.info(id)}, nil
}

func (c *cell) info(id string) *workflowpb.WorkflowExecutionInfo {
	return &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: "run of " + id}, Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
	}
}

func (c *cell) GetWorkflow(_ context.Context, id, _ string) client.WorkflowRun { return outcome{c, id} }

type outcome struct {
	of *cell
	id string
}

func (o outcome) GetID() string                  { return o.id }
func (o outcome) GetFirstExecutionRunID() string { return "" }
func (o outcome) GetRunID() string               { return "" }
func (o outcome) Get(context.Context, any) error { return o.of.says("result", o.id) }
func (o outcome) GetWithOptions(context.Context, any, client.WorkflowRunGetOptions) error {
	return o.of.says("result", o.id)
}

func (c *cell) GetWorkflowHistory(_ context.Context, id, _ string, _ bool, _ enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	return noEvents{c.says("history", id)}
}

type noEvents struct{ why error }

func (noEvents) HasNext() bool                            { return true }
func (e noEvents) Next() (*historypb.HistoryEvent, error) { return nil, e.why }

func (c *cell) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	if err := c.says("list", r.GetQuery()); c.away {
		return nil, err
	}
	var found workflowservice.ListWorkflowExecutionsResponse
	for _, id := range c.knows {
		found.Executions = append(found.Executions, c.info(id))
	}
	return &found, nil
}

func (c *cell) CountWorkflow(_ context.Context, r *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	return &workflowservice.CountWorkflowExecutionsResponse{}, c.says("count", r.GetQuery())
}

// plan says which cell sales and orders are in.
type plan struct {
	sales  map[string]string
	orders map[domain.OrderID]string
	down   error
	asked  int
}

func (p *plan) OfSale(_ context.Context, sale string) (string, error) {
	p.asked++
	if in, ok := p.sales[sale]; ok {
		return in, nil
	}
	return "", domain.NotFound("sale")
}

func (p *plan) OfOrder(_ context.Context, order domain.OrderID) (string, bool, error) {
	p.asked++
	in, ok := p.orders[order]
	return in, ok, p.down
}

func (p *plan) Learn(order domain.OrderID, cell string) { p.orders[order] = cell }

// inCells has sale conf and the test's order in cell b, and sale here in the default cell.
func inCells(has records) (desks *checkouts.Desks, fallback, b *cell, where *plan) {
	fallback, b = &cell{}, &cell{}
	where = &plan{sales: map[string]string{"conf": "b", "here": ""}, orders: map[domain.OrderID]string{order.ID: "b"}}
	desk := func(c *cell) *checkouts.Desk { return checkouts.NewDesk(c, payloads, nil, has, has, has) }
	return checkouts.NewDesks(where, desk(fallback), map[string]*checkouts.Desk{"b": desk(b)}), fallback, b, where
}

// questions are all that is asked of the desks about an order of sale conf.
func questions(t *testing.T, desks *checkouts.Desks) map[string]func() error {
	ctx := t.Context()
	capture := event(domain.PaymentSucceeded, "pay_1").Capture()
	refund := domain.Refund{Capture: capture, SaleID: "conf", Reason: domain.RefundByOrganiser}
	mine := order
	mine.Cell = "b"
	return map[string]func() error{
		"Start":         func() error { _, err := desks.Start(ctx, mine); return err },
		"State":         func() error { _, err := desks.State(ctx, order.ID); return err },
		"Cancel":        func() error { _, err := desks.Cancel(ctx, order.ID); return err },
		"OpenPayment":   func() error { _, err := desks.OpenPayment(ctx, order.ID, domain.PayWish{}); return err },
		"Pay":           func() error { _, err := desks.Pay(ctx, event(domain.PaymentFailed, "pay_1")); return err },
		"Refund":        func() error { _, err := desks.Refund(ctx, order.ID); return err },
		"CancelOrder":   func() error { _, err := desks.CancelOrder(ctx, order.ID); return err },
		"CancelSale":    func() error { return desks.CancelSale(ctx, "conf", time.Now()) },
		"OpenCheckouts": func() error { _, err := desks.OpenCheckouts(ctx, "conf", 1); return err },
		"CountCheckouts": func() error {
			return desks.CountCheckouts(ctx, &domain.SaleCancellation{SaleID: "conf"})
		},
		"Waits":         func() error { _, _, err := desks.Waits(ctx, refund); return err },
		"CheckoutWaits": func() error { _, _, err := desks.CheckoutWaits(ctx, order.ID); return err },
		"OpenWorkflow":  func() error { _, err := desks.OpenWorkflow(ctx, order.ID, nil); return err },
		"Forget":        func() error { return desks.Forget(ctx, order.ID, nil) },
		"Remember":      func() error { _, err := desks.Remember(ctx, order.ID, nil); return err },
		"Working":       func() error { _, err := desks.Working(ctx, order.ID, "", time.Now()); return err },
		"Look at a refund": func() error {
			_, err := desks.Look(ctx, workflows.RefundID(order.ID))
			return err
		},
		"Look at late money": func() error {
			_, err := desks.Look(ctx, workflows.LateID(order.ID, "pay_1"))
			return err
		},
		"Look at a sale": func() error { _, err := desks.Look(ctx, workflows.CancelSaleID("conf")); return err },
		"TakeUp": func() error {
			_, err := desks.TakeUp(ctx, domain.Workflow{ID: workflows.RefundID(order.ID), Cell: "b", Failed: true})
			return err
		},
		"Unfinished": func() error {
			for range desks.Unfinished(ctx, &domain.Sale{ID: "conf", Cell: "b"}) {
			}
			return nil
		},
	}
}

// Whatever is asked about a sale or an order goes to its cell, and to no other.
func TestQuestionsGoToTheCell(t *testing.T) {
	sold := records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {ID: order.ID, SaleID: "conf", Status: domain.OrderPaid}}}
	names := slices.Sorted(maps.Keys(questions(t, nil)))
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			desks, fallback, b, _ := inCells(sold)
			_ = questions(t, desks)[name]() // what it says is the desk's business
			if len(fallback.calls) > 0 || len(b.calls) == 0 {
				t.Errorf("the default cell was asked %q, cell b %q", fallback.calls, b.calls)
			}
		})
	}
}

// One cell asks nobody where anything is.
func TestOneCellIsNotLookedFor(t *testing.T) {
	only, where := &cell{}, &plan{}
	has := records{}
	desks := checkouts.NewDesks(where, checkouts.NewDesk(only, payloads, nil, has, has, has), nil)
	all := questions(t, desks)
	for name, ask := range all {
		if name == "TakeUp" || name == "Start" || name == "Unfinished" { // they name a cell
			continue
		}
		_ = ask()
	}
	if where.asked > 0 || len(only.calls) == 0 {
		t.Errorf("asked %d times where something is; the cell was asked %q", where.asked, only.calls)
	}
}

// What the books and the records do not know is where a cell knows it.
func TestAnOrderOutsideTheBooks(t *testing.T) {
	checkout := workflows.CheckoutID(order.ID)
	capture := event(domain.PaymentSucceeded, "pay_1").Capture()
	away := errors.New("down")
	tests := []struct {
		name     string
		arranged func(fallback, b *cell, where *plan)
		unknown  bool
		started  string // "", "default": the refund of an unknown order
		learned  bool
	}{
		{"a cell knows its checkout", func(_, b *cell, _ *plan) { b.knows = []string{checkout} }, false, "", true},
		{"a cell knows it while the books do not answer", func(_, b *cell, where *plan) { b.knows, where.down = []string{checkout}, away }, false, "", true},
		{"nobody knows it", func(_, _ *cell, _ *plan) {}, false, "default", false},
		{"one cell does not answer", func(_, b *cell, _ *plan) { b.away = true }, true, "", false},
		{"nor does the default cell", func(fallback, _ *cell, _ *plan) { fallback.away = true }, true, "", false},
		{"the books do not answer", func(_, _ *cell, where *plan) { where.down = away }, true, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			desks, fallback, b, where := inCells(records{captured: &capture})
			clear(where.orders)
			test.arranged(fallback, b, where)
			_, err := desks.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
			if test.unknown && !domain.IsUnknown(err) {
				t.Errorf("%v, want an outcome that is not known", err)
			}
			started := func(c *cell) bool {
				return slices.ContainsFunc(c.calls, func(call string) bool { return strings.HasPrefix(call, "start late/") })
			}
			if started(fallback) != (test.started == "default") {
				t.Errorf("the default cell was asked %q", fallback.calls)
			}
			if _, learned := where.orders[order.ID]; learned != test.learned {
				t.Errorf("learned: %v", where.orders)
			}
		})
	}
}

// A node that lacks a sale's cell refuses, without doing anything elsewhere.
func TestACellThatIsNotHere(t *testing.T) {
	desks, fallback, b, where := inCells(records{})
	where.sales["conf"], where.orders[order.ID] = "c", "c"
	elsewhere := order
	elsewhere.Cell = "c"
	_, started := desks.Start(t.Context(), elsewhere)
	_, paid := desks.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
	for _, err := range []error{started, paid, desks.CancelSale(t.Context(), "conf", time.Now())} {
		if domain.CodeOf(err) != domain.CodeOverloaded || !strings.Contains(errors.Unwrap(err).Error(), `cell "c"`) {
			t.Errorf("%v", err)
		}
	}
	if len(fallback.calls)+len(b.calls) > 0 {
		t.Errorf("other cells were asked %q %q", fallback.calls, b.calls)
	}
}

// The list of all cells has what each of them knows. One that is away keeps nothing back, and is told of.
func TestTheListOfAllCells(t *testing.T) {
	desks, fallback, b, _ := inCells(records{})
	fallback.away = true
	b.knows = []string{workflows.CheckoutID(order.ID), workflows.RefundID(domain.OrderID{2})}
	list := func(sale *domain.Sale) (found []domain.Workflow, last error) {
		for workflow, err := range desks.Unfinished(t.Context(), sale) {
			if err != nil {
				last = err
				continue
			}
			if last != nil {
				t.Error("something comes after the error")
			}
			found = append(found, workflow)
		}
		return found, last
	}
	all, err := list(nil)
	if len(all) != 2 || all[0].Cell != "b" || all[1].Cell != "b" {
		t.Errorf("%+v", all)
	}
	if !domain.IsUnknown(err) || !strings.Contains(err.Error(), `cell ""`) {
		t.Errorf("%v, want that the default cell did not answer", err)
	}
	if of, err := list(&domain.Sale{ID: "conf", Cell: "b"}); err != nil || len(of) != 2 {
		t.Errorf("of a sale in cell b: %+v, %v", of, err)
	}
	if _, err := list(&domain.Sale{ID: "here"}); err == nil {
		t.Error("the list of a sale in the cell that is away is complete")
	}
}

// A reversal's order is known once it is on record: what is left of its refund is in the order's cell.
func TestTheRestOfARefundIsInTheOrdersCell(t *testing.T) {
	fallback, b := &cell{}, &cell{}
	where := &plan{orders: map[domain.OrderID]string{order.ID: "b"}}
	back := &domain.Refund{Capture: domain.Capture{Payment: "pay_1", Order: order.ID}, SaleID: "conf", Reason: domain.RefundByOrganiser, RefundedAt: time.Unix(2, 0)}
	desk := func(c *cell) *checkouts.Desk {
		d := checkouts.NewDesk(c, payloads, nil, records{}, records{}, records{})
		d.Reversals = &reversals{noted: domain.NotedReversal{Order: order.ID, SaleID: "conf", Status: domain.OrderRefunded, Refund: back}}
		return d
	}
	desks := checkouts.NewDesks(where, desk(fallback), map[string]*checkouts.Desk{"b": desk(b)})
	result, err := desks.Pay(t.Context(), reversedEvent(domain.DisputeWon))
	if err != nil || !result.Settled {
		t.Errorf("%+v, %v", result, err)
	}
	if want := []string{"start " + workflows.RefundID(order.ID)}; len(fallback.calls) > 0 || !slices.Equal(b.calls, want) {
		t.Errorf("the default cell was asked %q, cell b %q, want %q", fallback.calls, b.calls, want)
	}
}
