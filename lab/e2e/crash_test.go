package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// soldBehind is a world in which a worker sold the order's seats and died before
// anybody knows: no record, no acknowledged event.
type soldBehind struct {
	activities.Ledger
	activities.Orders
	activities.Provider
}

func (soldBehind) Hold(_ context.Context, o *domain.Order) (domain.Hold, error) {
	now := time.Now()
	return domain.Hold{Outcome: domain.HoldHeld, HeldAt: now, ExpiresAt: now.Add(o.HoldTimeout)}, nil
}

func (soldBehind) Post(context.Context, *domain.Order) (domain.PostOutcome, error) {
	return domain.PostPosted, nil
}

func (soldBehind) Void(context.Context, *domain.Order) (domain.VoidOutcome, error) {
	return domain.VoidPosted, nil
}

func (soldBehind) TakePerk(context.Context, *domain.Order) (bool, error) { return false, nil }

func (soldBehind) Record(_ context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	return domain.SoldOrder{ID: sold.Order.ID, Capture: sold.Capture}, nil
}

func (soldBehind) Order(context.Context, domain.OrderID) (domain.SoldOrder, error) {
	return domain.SoldOrder{}, domain.NotFound("order")
}

func (soldBehind) Expire(context.Context, string) (domain.ExpireOutcome, error) {
	return domain.ExpireOutcome{}, nil
}

func (soldBehind) Capture(context.Context, string) (domain.Capture, bool, error) {
	return domain.Capture{}, false, nil
}

// testCrashAfterPost: at the deadline the ledger says that the seats are sold.
// The checkout waits for the event that nobody acknowledged, and is paid by it.
// The server and the workflow are real; the world is made up, because a crash
// between two lines cannot be asked for from outside.
func testCrashAfterPost(t *testing.T, s *stack) {
	const taskQueue = "crash-after-post"
	w := worker.New(s.temporal, taskQueue, worker.Options{})
	w.RegisterWorkflow(workflows.Checkout)
	w.RegisterActivity(&activities.Activities{Ledger: soldBehind{}, Orders: soldBehind{}, Provider: soldBehind{}})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()

	id, err := domain.ParseOrderID(strings.ReplaceAll(uuid.NewString(), "-", "")[:30] + "00")
	if err != nil {
		t.Fatal(err)
	}
	order := domain.Order{
		ID: id, SaleID: "none", Lines: []domain.Line{{Class: "A", Ledger: 1, Quantity: 1, UnitPriceMinor: 6500}},
		AmountMinor: 6500, Currency: "EUR", HoldTimeout: time.Second,
	}
	workflowID := taskQueue + "/" + id.String()
	run, err := s.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: workflowID, TaskQueue: taskQueue}, workflows.Checkout, order)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the checkout waits for the event to come again", func() bool {
		timers := 0
		for _, event := range s.history(t, workflowID).Events {
			if event.GetEventType() == enumspb.EVENT_TYPE_TIMER_STARTED {
				timers++
			}
		}
		return timers == 2 // after that of the deadline
	})
	if err := s.temporal.SignalWorkflow(t.Context(), workflowID, "", workflows.PaymentSignal, domain.PaymentEvent{
		ID: "evt_1", Type: domain.PaymentSucceeded, Order: id, AmountMinor: order.AmountMinor, Currency: order.Currency,
	}); err != nil {
		t.Fatal(err)
	}
	var state domain.CheckoutState
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := run.Get(ctx, &state); err != nil {
		t.Fatal(err)
	}
	if state.Status != domain.OrderPaid {
		t.Fatalf("state.Status is %q, want %q", state.Status, domain.OrderPaid)
	}
	if *capture != "" {
		s.save(t, taskQueue, workflowID)
	}
}
