package workflows_test

import (
	"slices"
	"testing"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// free is a bundle whose order costs nothing.
func free(t *testing.T, script func(*world)) *bundle {
	t.Helper()
	b := setup(t, script)
	b.order.AmountMinor, b.order.Provider = 0, domain.FreeProvider
	for i := range b.order.Lines {
		b.order.Lines[i].UnitPriceMinor = 0
	}
	return b
}

// An order that costs nothing is sold at once, and no provider hears of it.
func TestAFreeOrder(t *testing.T) {
	for _, tt := range []struct {
		name     string
		script   func(*world)
		status   domain.OrderStatus
		seats    string
		recorded int
		flags    []activities.Flag
		told     []domain.OrderStatus
	}{
		{name: "free: sold at once", status: domain.OrderPaid, seats: "posted", recorded: 1},
		{name: "sold out", script: func(w *world) { w.holdOutcome = domain.HoldSoldOut }, status: domain.OrderSoldOut},
		{name: "the ledger and the database fail for a while", script: func(w *world) {
			w.failures["hold"], w.failures["post"], w.failures["record"] = 5, 5, 9
		}, status: domain.OrderPaid, seats: "posted", recorded: 1},
		{name: "the hold is gone, seats left", script: func(w *world) { w.holdGone, w.seatsLeft = true, true },
			status: domain.OrderPaid, seats: "rebooked", recorded: 1},
		{name: "the hold is gone, none left: there is nothing to give back", script: func(w *world) { w.holdGone = true },
			status: domain.OrderExpired, seats: "held", told: []domain.OrderStatus{domain.OrderExpired}},
		{name: "an order that the database refuses for good", script: func(w *world) { w.unrecordable = true },
			status: domain.OrderFailed, seats: "unsold", flags: []activities.Flag{activities.FlagUnrecordable}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := free(t, tt.script)
			began := b.env.Now()
			state := b.run()
			w := b.world
			if state.Status != tt.status || w.seats != tt.seats || len(w.recorded) != tt.recorded {
				t.Errorf("%s, seats %q, %d records; want %s, %q, %d", state.Status, w.seats, len(w.recorded), tt.status, tt.seats, tt.recorded)
			}
			if tt.status == domain.OrderPaid && state.Payment != domain.FreeCapture(&b.order).Payment {
				t.Errorf("the payment is %q", state.Payment)
			}
			if tt.recorded > 0 && w.recorded[0].Capture != domain.FreeCapture(&b.order) {
				t.Errorf("recorded with %+v", w.recorded[0].Capture)
			}
			if !slices.Equal(w.flags, tt.flags) || !slices.Equal(w.told, tt.told) {
				t.Errorf("flags %v, told %v; want %v and %v", w.flags, w.told, tt.flags, tt.told)
			}
			if len(w.refunds) > 0 || w.expired > 0 || slices.Contains(w.calls, "capture") || slices.Contains(w.calls, "open") || slices.Contains(w.calls, "refund") {
				t.Errorf("the provider was asked: %v; refunds %v", w.calls, w.refunds)
			}
			if tt.script == nil && !b.env.Now().Equal(began) {
				t.Errorf("it took %v of waiting", b.env.Now().Sub(began))
			}
		})
	}
}

// What buyers and organisers ask of a free order that was just sold.
func TestWhatAFreeOrderAnswers(t *testing.T) {
	b := free(t, nil)
	var a answers
	b.update(&a, 0, "cancel", "c")
	b.update(&a, 0, "open_session", "o", domain.PayWish{ReturnURL: "https://boxoffice.example"})
	if state := b.run(); state.Status != domain.OrderPaid {
		t.Fatalf("%+v", state)
	}
	for _, status := range a.statuses {
		if status != domain.OrderPaid {
			t.Errorf("a cancel was answered %s", status)
		}
	}
	if slices.Contains(b.world.calls, "open") || slices.Contains(b.world.calls, "void") {
		t.Errorf("done: %v", b.world.calls)
	}
}

// A checkout that began before free orders were known went to a provider with its amount
// of 0, and goes on so.
func TestAnAmountOfZeroFromBeforeIsPaidAtItsProvider(t *testing.T) {
	b := free(t, nil)
	b.order.Provider = domain.DefaultProvider
	b.order.Session = "ps_" + b.order.ID.String()
	b.signal(soon, b.event("e1", domain.PaymentSucceeded))
	if state := b.run(); state.Status != domain.OrderPaid || state.Payment != "pay_1" {
		t.Errorf("%+v", state)
	}
}

// The organiser takes free tickets back: seats go back, and there is no money to.
func TestAFreeOrderIsTakenBackWithoutTheProvider(t *testing.T) {
	b := free(t, nil)
	b.world.free = true
	b.env.ExecuteWorkflow(workflows.Refund, workflows.RefundInput{Order: b.order.ID, Reason: domain.RefundByOrganiser})
	if err := b.env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	w := b.world
	if w.seats != "returned" || slices.Contains(w.calls, "refund") || !slices.Equal(w.refunded, []string{domain.FreeCapture(&b.order).Payment}) {
		t.Errorf("seats %q, %v, done %v", w.seats, w.calls, w.refunded)
	}
}

// Whoever pays nothing waits for nothing: the hold, the sale and the end are in one
// workflow task.
func TestAFreeCheckoutHasSevenEvents(t *testing.T) {
	begun := history(t, "testdata/histories/paid.json")[:2]
	order, _ := placed(t, begun)
	order.AmountMinor, order.Provider, order.Session = 0, domain.FreeProvider, ""
	for i := range order.Lines {
		order.Lines[i].UnitPriceMinor = 0
	}
	begun[0].GetWorkflowExecutionStartedEventAttributes().Input = encode(t, order)
	w := &world{}
	w.reset(nil)
	s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, nil)
	x := s.resume(begun)
	x.run()
	if len(x.events) != 7 {
		t.Errorf("%d events, want 7: %v", len(x.events), x.kinds())
	}
	if len(w.recorded) != 1 || w.recorded[0].Capture != domain.FreeCapture(&order) {
		t.Errorf("recorded %+v", w.recorded)
	}
	if err := x.replayed(); err != nil {
		t.Error(err)
	}
}
