package workflows_test

import (
	"slices"
	"testing"
	"time"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// seatsFirst is a bundle whose order is only authorised when the buyer pays.
func seatsFirst(t *testing.T, script func(*world)) *bundle {
	t.Helper()
	b := setup(t, script)
	b.order.Capture = domain.CaptureAfterSeats
	return b
}

// authorize lets the buyer pay, at some time; the event comes as an update.
func (b *bundle) authorize(after time.Duration, report func(domain.PaymentEvent)) {
	b.env.RegisterDelayedCallback(func() {
		event := b.event("e1", domain.PaymentAuthorized)
		money := event.Capture()
		b.world.mu.Lock()
		b.world.authorized = &money
		b.world.mu.Unlock()
		if report != nil {
			report(event)
		}
	}, after)
}

// Seats first, then the money, then the tickets. What cannot be had is never taken.
func TestAPaymentThatIsOnlyAuthorised(t *testing.T) {
	for _, tt := range []struct {
		name     string
		script   func(*world)
		lost     bool // its event
		cancel   bool // just after the buyer paid
		at       time.Duration
		status   domain.OrderStatus
		seats    string
		captured bool
		told     []domain.OrderStatus
		flags    []activities.Flag
		refunds  int
	}{
		{name: "authorised: seats, money, tickets", status: domain.OrderPaid, seats: "posted", captured: true},
		{name: "ledger, provider and database fail for a while", script: func(w *world) {
			w.failures["post"], w.failures["take"], w.failures["record"], w.failures["order"] = 5, 7, 5, 5
		}, status: domain.OrderPaid, seats: "posted", captured: true},
		{name: "the event is lost: the provider says so at the deadline", lost: true, status: domain.OrderPaid, seats: "posted", captured: true},
		{name: "the hold is gone, seats left", script: func(w *world) { w.holdGone, w.seatsLeft = true, true },
			status: domain.OrderPaid, seats: "rebooked", captured: true},
		{name: "the hold is gone, none left: released, and nothing was taken", script: func(w *world) { w.holdGone = true },
			status: domain.OrderExpired, seats: "held", told: []domain.OrderStatus{domain.OrderExpired}},
		{name: "the bank refuses the capture: the seats go back", script: func(w *world) { w.refuseCapture = true },
			status: domain.OrderFailed, seats: "unsold", told: []domain.OrderStatus{domain.OrderFailed}},
		{name: "canceled before the event came: released", lost: true, cancel: true,
			status: domain.OrderCanceled, seats: "voided", told: []domain.OrderStatus{domain.OrderCanceled}},
		{name: "captured, and the database refuses the order for good", script: func(w *world) { w.unrecordable = true },
			status: domain.OrderRefunding, seats: "unsold", captured: true, flags: []activities.Flag{activities.FlagUnrecordable}, refunds: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := seatsFirst(t, tt.script)
			var a answers
			report := func(event domain.PaymentEvent) { b.update(&a, 0, "payment", "p1", event) }
			if tt.lost {
				report = nil
			}
			b.authorize(soon, report)
			if tt.cancel {
				b.update(&a, 2*soon, "cancel", "c1")
			}
			state := b.run()
			w := b.world
			if state.Status != tt.status || w.seats != tt.seats || (w.captured != nil) != tt.captured {
				t.Errorf("%s, seats %q, captured %t; want %s, %q, %t", state.Status, w.seats, w.captured != nil, tt.status, tt.seats, tt.captured)
			}
			if w.authorized != nil {
				t.Error("it is still authorised")
			}
			if sold := tt.status == domain.OrderPaid; sold != (len(w.recorded) == 1) || sold && w.recorded[0].Capture.Authorized {
				t.Errorf("recorded %+v", w.recorded)
			}
			if !slices.Equal(w.told, tt.told) || !slices.Equal(w.flags, tt.flags) || len(w.given) != tt.refunds {
				t.Errorf("told %v, flags %v, %d given back; want %v, %v, %d", w.told, w.flags, len(w.given), tt.told, tt.flags, tt.refunds)
			}
			if state.Authorized {
				t.Error("the ended checkout says that its payment is authorised")
			}
			if post, take := slices.Index(w.calls, "post"), slices.Index(w.calls, "take"); take >= 0 && (post < 0 || post > take) {
				t.Errorf("the money was taken before the seats: %v", w.calls)
			}
		})
	}
}

// What the buyer is charged is what was authorised, and not a cent for another amount.
func TestAnAuthorisationOfAnotherAmountIsReleased(t *testing.T) {
	b := seatsFirst(t, nil)
	wrong := b.event("e1", domain.PaymentAuthorized)
	wrong.Payment, wrong.AmountMinor = "pay_wrong", b.order.AmountMinor-1
	b.env.RegisterDelayedCallback(func() {
		money := wrong.Capture()
		b.world.authorized = &money
	}, soon)
	var a answers
	b.update(&a, soon, "payment", "p1", wrong)
	if state := b.run(); state.Status != domain.OrderExpired || b.world.captured != nil || b.world.authorized != nil || len(b.world.given) > 0 {
		t.Errorf("%s, captured %v, authorised %v, %d given back", state.Status, b.world.captured, b.world.authorized, len(b.world.given))
	}
}

// An event about an authorisation that was settled with, or given up, changes nothing.
func TestAnAuthorisationIsReportedAgain(t *testing.T) {
	b := seatsFirst(t, nil)
	var a answers
	b.authorize(soon, func(event domain.PaymentEvent) {
		b.update(&a, 0, "payment", "p1", event)
		again := event
		again.ID = "e2"
		b.update(&a, 0, "payment", "p2", again)
	})
	if state := b.run(); state.Status != domain.OrderPaid || b.world.count("take") != 1 || len(b.world.recorded) != 1 {
		t.Errorf("%s, captured %d times, %d recorded", state.Status, b.world.count("take"), len(b.world.recorded))
	}
}

// After the checkout's end an authorisation buys seats if some are left, or it is released.
func TestALateAuthorisation(t *testing.T) {
	for _, tt := range []struct {
		name     string
		script   func(*world)
		input    func(*workflows.LateInput)
		gone     bool // the provider does not show it
		status   domain.OrderStatus
		seats    string
		captured bool
	}{
		{name: "seats left: they are sold", script: func(w *world) { w.seatsLeft = true }, status: domain.OrderPaid, seats: "rebooked", captured: true},
		{name: "authorised late, none left: released", status: domain.OrderFailed},
		{name: "seats left, and the bank refuses", script: func(w *world) { w.seatsLeft, w.refuseCapture = true, true },
			status: domain.OrderFailed, seats: "unsold"},
		{name: "not wanted any more", script: func(w *world) { w.seatsLeft = true },
			input: func(l *workflows.LateInput) { l.Rebook = false }, status: domain.OrderFailed},
		{name: "the provider shows none: no seats are taken", script: func(w *world) { w.seatsLeft = true }, gone: true, status: domain.OrderFailed},
		{name: "the checkout broke off before its seats were sold", script: func(w *world) { w.seats = "held" },
			input: func(l *workflows.LateInput) { l.HoldMayStand = true }, status: domain.OrderPaid, seats: "posted", captured: true},
		{name: "the checkout broke off after its seats were sold, and nothing is authorised any more", script: func(w *world) { w.seats = "posted" },
			input: func(l *workflows.LateInput) { l.HoldMayStand = true }, gone: true, status: domain.OrderFailed, seats: "unsold"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := seatsFirst(t, tt.script)
			money := b.event("e1", domain.PaymentAuthorized).Capture()
			if !tt.gone {
				b.world.authorized = &money
			}
			input := workflows.LateInput{Capture: money, SaleID: b.order.SaleID, Order: &b.order, Rebook: true, Reason: domain.RefundNoneLeft}
			if tt.input != nil {
				tt.input(&input)
			}
			b.env.ExecuteWorkflow(workflows.Late, input)
			var state domain.CheckoutState
			if err := b.env.GetWorkflowResult(&state); err != nil {
				t.Fatal(err)
			}
			w := b.world
			if state.Status != tt.status || state.Released != (tt.status == domain.OrderFailed) || w.seats != tt.seats || (w.captured != nil) != tt.captured || w.authorized != nil {
				t.Errorf("%s, released %t, seats %q, captured %v, authorised %v; want %s, %q, %t",
					state.Status, state.Released, w.seats, w.captured, w.authorized, tt.status, tt.seats, tt.captured)
			}
			if len(w.refunds)+len(w.given) > 0 {
				t.Errorf("refunds %v, given back %v; nothing was taken", w.refunds, w.given)
			}
		})
	}
}

// Somebody captured it at the provider before we could release it: it is a debt.
func TestALateAuthorisationThatWasCapturedGoesBack(t *testing.T) {
	b := seatsFirst(t, nil)
	money := b.event("e1", domain.PaymentAuthorized).Capture()
	taken := money
	taken.Authorized = false
	b.world.captured, b.world.knownAt = &taken, b.env.Now().Add(time.Millisecond) // not shown when it is asked for first
	b.env.RegisterDelayedCallback(func() {}, time.Second)
	b.env.ExecuteWorkflow(workflows.Late, workflows.LateInput{Capture: money, SaleID: b.order.SaleID, Order: &b.order, Reason: domain.RefundCanceled})
	var state domain.CheckoutState
	if err := b.env.GetWorkflowResult(&state); err != nil {
		t.Fatal(err)
	}
	if state.Status != domain.OrderRefunded || len(b.world.given) != 1 || b.world.given[0] != taken {
		t.Errorf("%s, given back %+v", state.Status, b.world.given)
	}
}
