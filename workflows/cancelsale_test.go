package workflows_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// theatre is a whole sale in memory: what the ledger, the database and Temporal
// say of it.
type theatre struct {
	mu     sync.Mutex
	orders map[domain.OrderID]domain.OrderStatus

	available  int64
	begun      bool
	saved      []domain.SaleCancellation
	refundFor  domain.RefundReason
	refusing   int  // refunds that the provider refuses yet
	stuck      bool // the provider does not answer to expire
	lateToCome int  // late payments that rebook what a void freed, before the drain
	failures   int  // of whatever is asked next
	unknown    bool // there is no such sale
}

var errAway = errors.New("away")

func (h *theatre) fail() error {
	if h.failures > 0 {
		h.failures--
		return &domain.UnknownError{Op: "ask", Err: errAway}
	}
	return nil
}

func (h *theatre) count(status domain.OrderStatus) (n int64) {
	for _, s := range h.orders {
		if s == status {
			n++
		}
	}
	return n
}

func (h *theatre) Drain(context.Context, *domain.Sale) ([]domain.StockLevel, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.fail(); err != nil {
		return nil, err
	}
	if h.lateToCome > 0 && h.available > 0 && h.begun {
		h.lateToCome--
		h.available--
		h.orders[domain.OrderID{0xff, byte(h.lateToCome)}] = domain.OrderPaid
	}
	h.available = 0
	return []domain.StockLevel{
		{Ledger: 1, Held: h.count(domain.OrderHeld), Sold: h.count(domain.OrderPaid) + h.count(domain.OrderRefunding)},
		{Ledger: 2, Sold: h.count(domain.OrderRefunded)}, // the perk: buyers who got it keep it
	}, nil
}

func (h *theatre) Sale(context.Context, string) (*domain.Sale, error) {
	return &domain.Sale{ID: "conf", Perk: &domain.Perk{Name: "T-shirt", Ledger: 2}}, nil
}

func (h *theatre) BeginCancellation(_ context.Context, saleID string, at time.Time) (domain.SaleCancellation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unknown {
		return domain.SaleCancellation{}, domain.NotFound("sale")
	}
	h.begun = true
	return domain.SaleCancellation{SaleID: saleID, RequestedAt: at, Stage: domain.CancelClosing}, h.fail()
}

func (h *theatre) SaveCancellation(_ context.Context, c domain.SaleCancellation) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.saved = append(h.saved, c)
	return h.fail()
}

func (h *theatre) DueRefunds(_ context.Context, c *domain.SaleCancellation) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.OrdersToRefund, c.OrdersRefunding, c.OrdersRefunded = h.count(domain.OrderPaid), h.count(domain.OrderRefunding), h.count(domain.OrderRefunded)
	return h.fail()
}

func (h *theatre) PaidOrders(_ context.Context, _ string, after domain.OrderID, limit int) ([]domain.OrderID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.with(domain.OrderPaid, after, limit), h.fail()
}

func (h *theatre) with(status domain.OrderStatus, after domain.OrderID, limit int) []domain.OrderID {
	var ids []domain.OrderID
	for id, s := range h.orders {
		if s == status && slices.Compare(id[:], after[:]) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b domain.OrderID) int { return slices.Compare(a[:], b[:]) })
	return ids[:min(limit, len(ids))]
}

func (h *theatre) OwedRefunds(context.Context, string, int) ([]domain.Refund, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var owed []domain.Refund
	for _, id := range h.with(domain.OrderRefunding, domain.OrderID{}, 3) {
		owed = append(owed, domain.Refund{Capture: domain.Capture{Order: id}})
	}
	return owed, nil
}

func (h *theatre) OpenCheckouts(_ context.Context, _ string, limit int) ([]domain.OrderID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.with(domain.OrderHeld, domain.OrderID{}, limit), h.fail()
}

func (h *theatre) CountCheckouts(_ context.Context, c *domain.SaleCancellation) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.OpenCheckouts, c.CanceledCheckouts = h.count(domain.OrderHeld), h.count(domain.OrderCanceled)
	// Refunds that the provider refused are tried again meanwhile.
	for id, s := range h.orders {
		if s == domain.OrderRefunding && h.refusing == 0 {
			h.orders[id] = domain.OrderRefunded
			h.available++
		}
	}
	if h.refusing > 0 && h.count(domain.OrderRefunding) > 0 {
		h.refusing--
	}
	return h.fail()
}

func (h *theatre) Cancel(_ context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stuck:
		return "", &domain.UnknownError{Op: "cancel", Err: context.DeadlineExceeded}
	case id[0] == paidAtProvider:
		h.orders[id] = domain.OrderPaid
		return "", &domain.Error{Code: domain.CodeAlreadyPaid}
	}
	h.orders[id] = domain.OrderCanceled
	h.available++
	return domain.OrderCanceled, nil
}

// paidAtProvider begins the ids of checkouts whose webhook is on its way.
const paidAtProvider = 3

func (h *theatre) RefundFor(_ context.Context, id domain.OrderID, reason domain.RefundReason) (domain.OrderStatus, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refundFor = reason
	if h.refusing > 0 {
		h.orders[id] = domain.OrderRefunding
		return domain.OrderRefunding, nil
	}
	h.orders[id] = domain.OrderRefunded
	h.available++
	return domain.OrderRefunded, nil
}

func (h *theatre) Waits(_ context.Context, r domain.Refund) (domain.CancelWait, bool, error) {
	return domain.CancelWait{Order: r.Capture.Order, Reason: "RefundPayment: refused"}, true, nil
}

func (h *theatre) CheckoutWaits(_ context.Context, id domain.OrderID) (domain.CancelWait, bool, error) {
	return domain.CancelWait{Order: id, Reason: "ExpireSession: away"}, true, nil
}

// full is a theatre with these numbers of held and paid orders.
func full(held, paid int) *theatre {
	h := &theatre{orders: map[domain.OrderID]domain.OrderStatus{}, available: 5}
	for i := range held {
		h.orders[domain.OrderID{1, byte(i), byte(i >> 8)}] = domain.OrderHeld
	}
	for i := range paid {
		h.orders[domain.OrderID{2, byte(i), byte(i >> 8)}] = domain.OrderPaid
	}
	return h
}

func (h *theatre) env() *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.RegisterActivity(&activities.Activities{SaleCancel: activities.SaleCancel{SecondLook: time.Nanosecond,
		Drainer: h, Cancellations: h, Canceler: h, PerSecond: 100_000, Now: env.Now,
	}})
	env.RegisterWorkflow(workflows.CancelSale)
	return env
}

var saleInput = workflows.CancelSaleInput{SaleID: "conf", RequestedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}

// Every way in which a sale can stand when it is canceled ends with nothing held,
// sold, available or owed.
func TestCancelSale(t *testing.T) {
	tests := []struct {
		name             string
		theatre          func() *theatre
		canceled, refund int64
	}{
		{"nothing was ever sold", func() *theatre { return full(0, 0) }, 0, 0},
		{"held and paid orders", func() *theatre { return full(3, 4) }, 3, 4},
		{"more than a batch of each", func() *theatre { return full(300, 600) }, 300, 600},
		{"a checkout was paid at the provider", func() *theatre {
			h := full(2, 1)
			h.orders[domain.OrderID{paidAtProvider}] = domain.OrderHeld
			return h
		}, 2, 2},
		{"late money rebooks what a void freed", func() *theatre {
			h := full(3, 0)
			h.lateToCome = 2
			return h
		}, 3, 2},
		{"the provider refuses refunds for long", func() *theatre {
			h := full(0, 150)
			h.refusing = 50
			return h
		}, 0, 150},
		{"every part fails for a while", func() *theatre {
			h := full(2, 2)
			h.failures = 8 /* the environment gives up at 10 */
			return h
		}, 2, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.theatre()
			env := h.env()
			env.ExecuteWorkflow(workflows.CancelSale, saleInput)
			if err := env.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			var c domain.SaleCancellation
			if err := env.GetWorkflowResult(&c); err != nil {
				t.Fatal(err)
			}
			if c.Stage != domain.CancelFinished {
				t.Fatalf("c.Stage is %q, want %q", c.Stage, domain.CancelFinished)
			}
			if !c.Done() {
				t.Fatal("want true: c.Done()")
			}
			if c.CanceledCheckouts != tt.canceled {
				t.Fatalf("c.CanceledCheckouts is %v, want %v", c.CanceledCheckouts, tt.canceled)
			}
			if c.OrdersRefunded != tt.refund {
				t.Fatalf("c.OrdersRefunded is %v, want %v", c.OrdersRefunded, tt.refund)
			}
			if h.available != 0 {
				t.Fatalf("h.available is %v, want zero", h.available)
			}
			if !h.begun {
				t.Fatal("want true: h.begun")
			}
			if !reflect.DeepEqual(h.saved[len(h.saved)-1].UpdatedAt, c.UpdatedAt) {
				t.Fatalf("h.saved[len(h.saved)-1].UpdatedAt is %v, want %v: a query sees the end", h.saved[len(h.saved)-1].UpdatedAt, c.UpdatedAt)
			}
			if tt.refund > 0 {
				if h.refundFor != domain.RefundSaleCanceled {
					t.Fatalf("h.refundFor is %q, want %q", h.refundFor, domain.RefundSaleCanceled)
				}
			}
		})
	}
}

// While the provider refuses, only so many refunds wait for it at a time; the
// reason is shown, and then they all go through.
func TestCancelSaleDoesNotFloodTheProvider(t *testing.T) {
	h := full(0, 400)
	h.refusing = 20
	env := h.env()
	env.ExecuteWorkflow(workflows.CancelSale, saleInput)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	var most int64
	var reasons int
	for _, c := range h.saved {
		most = max(most, c.OrdersRefunding)
		reasons += len(c.Waiting)
	}
	if most >= int64(150) {
		t.Fatalf("most is %v, want less than %v: 100, one more a round, and those that were under way at once", most, int64(150))
	}
	if reasons == 0 {
		t.Fatal("reasons is zero")
	}
	if got := h.count(domain.OrderPaid) + h.count(domain.OrderRefunding); got != 0 {
		t.Fatalf("h.count(domain.OrderPaid)+h.count(domain.OrderRefunding) is %v, want zero", got)
	}
}

// Its history is bounded: a run that was long enough hands over to the next,
// which goes on where it was and does not close the sale again.
func TestCancelSaleContinuesAsNew(t *testing.T) {
	h := full(1, 1)
	env := h.env()
	env.SetContinueAsNewSuggested(true)
	env.ExecuteWorkflow(workflows.CancelSale, saleInput)
	var next *workflow.ContinueAsNewError
	if err := env.GetWorkflowError(); !errors.As(err, &next) {
		t.Fatalf("the error is a %T, want a %T: %v", err, next, err)
	}

	h.begun = false
	env = h.env()
	env.ExecuteWorkflow(workflows.CancelSale, workflows.CancelSaleInput{SaleID: "conf", RequestedAt: saleInput.RequestedAt, Closed: true})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if h.begun {
		t.Fatal("want false: h.begun")
	}
}

// The caller gets an answer once no node can sell any longer, not when all
// the money is back.
func TestCancelSaleAnswersOnceClosed(t *testing.T) {
	h := full(0, 1)
	h.refusing = 1000
	env := h.env()
	var answered bool
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(workflows.AwaitClosedUpdate, "closed", &testsuite.TestUpdateCallback{
			OnAccept: func() {}, OnReject: func(err error) {
				if err != nil {
					t.Fatal(err)
				}
			},
			OnComplete: func(_ any, err error) {
				if err != nil {
					t.Fatal(err)
				}
				answered = true
				h.mu.Lock()
				defer h.mu.Unlock()
				if !h.begun {
					t.Fatal("want true: h.begun")
				}
				if h.available != 0 {
					t.Fatalf("h.available is %v, want zero", h.available)
				}
				if h.saved[0].Stage != domain.CancelReleasing {
					t.Fatalf("h.saved[0].Stage is %q, want %q: who reads the progress now sees that it is in force", h.saved[0].Stage, domain.CancelReleasing)
				}
			},
		})
	}, 0)
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(workflows.StateQuery)
		if err != nil {
			t.Fatal(err)
		}
		var c domain.SaleCancellation
		if err := value.Get(&c); err != nil {
			t.Fatal(err)
		}
		if c.Stage != domain.CancelRefunding {
			t.Fatalf("c.Stage is %q, want %q", c.Stage, domain.CancelRefunding)
		}
		if !answered {
			t.Fatal("want true: answered")
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.refusing = 0
	}, 10*time.Minute)
	env.ExecuteWorkflow(workflows.CancelSale, saleInput)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if !answered {
		t.Fatal("want true: answered")
	}
}

// A cancellation of the workflow itself does not leave half a sale canceled.
func TestCancelSaleGoesOnWhenItIsCanceled(t *testing.T) {
	h := full(1, 1)
	env := h.env()
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Millisecond)
	env.ExecuteWorkflow(workflows.CancelSale, saleInput)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if got := h.count(domain.OrderPaid) + h.count(domain.OrderHeld); got != 0 {
		t.Fatalf("h.count(domain.OrderPaid)+h.count(domain.OrderHeld) is %v, want zero", got)
	}
}

// While the provider does not answer to expire, the checkouts stay open and the
// reason is shown.
func TestCancelSaleShowsCheckoutsThatCannotEnd(t *testing.T) {
	h := full(2, 0)
	h.stuck = true
	env := h.env()
	env.RegisterDelayedCallback(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		last := h.saved[len(h.saved)-1]
		if last.Stage != domain.CancelReleasing {
			t.Fatalf("last.Stage is %q, want %q", last.Stage, domain.CancelReleasing)
		}
		if len(last.Waiting) != 2 {
			t.Fatalf("%d in last.Waiting, want 2: %+v", len(last.Waiting), last.Waiting)
		}
		h.stuck = false
	}, 10*time.Minute)
	env.ExecuteWorkflow(workflows.CancelSale, saleInput)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if got := h.count(domain.OrderCanceled); got != 2 {
		t.Fatalf("h.count(domain.OrderCanceled) is %v, want 2", got)
	}
}

func TestCancelSaleThatDoesNotExist(t *testing.T) {
	h := full(0, 0)
	h.unknown = true
	env := h.env()
	env.ExecuteWorkflow(workflows.CancelSale, saleInput)
	if err := env.GetWorkflowError(); err == nil {
		t.Fatal("env.GetWorkflowError(): no error, want one")
	}
}
