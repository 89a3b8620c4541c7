package workflows_test

import (
	"slices"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/workflows"
)

const (
	day       = 24 * time.Hour
	extension = 3 * day
)

// delayed is a bundle whose sale keeps the seats while a payment is being processed. The
// buyer pays by such a method soon.
func delayed(t *testing.T, script func(*world)) *bundle {
	t.Helper()
	b := setup(t, script)
	b.order.ProcessingExtension = extension
	b.at(soon, func(w *world) { w.processing = true })
	return b
}

// at lets something happen in the world.
func (b *bundle) at(after time.Duration, what func(*world)) {
	b.env.RegisterDelayedCallback(func() {
		b.world.mu.Lock()
		defer b.world.mu.Unlock()
		what(b.world)
	}, after)
}

// arrive is the money of a payment that was processed.
func (w *world) arrive(money domain.Capture) { w.processing, w.captured = false, &money }

// While a payment is being processed the seats are kept, and no longer than the organiser
// allows.
func TestAPaymentThatIsProcessedForDays(t *testing.T) {
	const deadline = holdTimeout
	type ending struct {
		status domain.OrderStatus
		seats  string
	}
	paid := ending{domain.OrderPaid, "posted"}
	for _, tt := range []struct {
		name  string
		drive func(*bundle, *answers)
		want  ending
		// The ending comes not before and not after.
		from, to time.Duration
	}{
		{"paid a day after the deadline", func(b *bundle, a *answers) {
			b.at(day, func(w *world) { w.arrive(b.capture()) })
			b.update(a, day, "payment", "p1", b.event("e1", domain.PaymentSucceeded))
		}, paid, day, day + time.Minute},
		{"paid a day after the deadline, and the event is lost: a look finds it", func(b *bundle, _ *answers) {
			b.at(day, func(w *world) { w.arrive(b.capture()) })
		}, paid, day, day + extension/24 + time.Minute},
		{"paid before the deadline", func(b *bundle, a *answers) {
			b.at(2*soon, func(w *world) { w.arrive(b.capture()) })
			b.update(a, 2*soon, "payment", "p1", b.event("e1", domain.PaymentSucceeded))
		}, paid, soon, deadline},
		{"it did not go through: the seats go back at once", func(b *bundle, a *answers) {
			b.at(day, func(w *world) { w.processing = false })
			b.update(a, day, "payment", "p1", b.event("e1", domain.PaymentFailed))
		}, ending{domain.OrderFailed, "voided"}, day, day + time.Minute},
		{"it did not go through, and the event is lost: a look finds it", func(b *bundle, _ *answers) {
			b.at(day, func(w *world) { w.processing = false })
		}, ending{domain.OrderExpired, "voided"}, day, day + extension/24 + time.Minute},
		{"it never ends: the seats go back at the end of the extension", func(*bundle, *answers) {},
			ending{domain.OrderExpired, "voided"}, deadline + extension, deadline + extension + time.Minute},
		{"the provider is away at the deadline, and for a day", func(b *bundle, a *answers) {
			b.at(3*soon, func(w *world) { w.failures["expire"] = 300 })
			b.at(2*day, func(w *world) { w.arrive(b.capture()) })
			b.update(a, 2*day, "payment", "p1", b.event("e1", domain.PaymentSucceeded))
		}, paid, 2 * day, 2*day + time.Minute},
		{"canceled meanwhile: nobody can stop the payment", func(b *bundle, a *answers) {
			b.update(a, 2*soon, "cancel", "c1")
			b.at(day, func(w *world) { w.arrive(b.capture()) })
			b.update(a, day, "payment", "p1", b.event("e1", domain.PaymentSucceeded))
		}, paid, day, day + time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := delayed(t, nil)
			var a answers
			began := b.env.Now()
			tt.drive(b, &a)
			state := b.run()
			if got := (ending{state.Status, b.world.seats}); got != tt.want {
				t.Errorf("it ended %v, want %v", got, tt.want)
			}
			if took := state.Ended.Sub(began); took < tt.from || took > tt.to {
				t.Errorf("it ended after %s, want %s–%s", took, tt.from, tt.to)
			}
			if state.Processing {
				t.Error("the ended checkout says that its payment is being processed")
			}
			if looks := b.world.count("expire"); looks > 400 {
				t.Errorf("the provider was asked %d times", looks)
			}
		})
	}
}

// Who does not pay at all has no more time than in any other sale.
func TestWithoutAPaymentTheDeadlineStaysAsItIs(t *testing.T) {
	b := setup(t, nil)
	b.order.ProcessingExtension = extension
	began := b.env.Now()
	if state := b.run(); state.Status != domain.OrderExpired || state.Ended.Sub(began) > holdTimeout+time.Minute || b.world.seats != "voided" {
		t.Errorf("%s after %s, seats %s", state.Status, state.Ended.Sub(began), b.world.seats)
	}
}

// Meanwhile the checkout says so, and a cancel is told at once that it comes to nothing.
func TestACheckoutSaysThatItsPaymentIsBeingProcessed(t *testing.T) {
	b := delayed(t, nil)
	var a answers
	b.update(&a, 2*soon, "cancel", "c1")
	var states []domain.CheckoutState
	for _, after := range []time.Duration{soon, 3 * soon, day} {
		b.env.RegisterDelayedCallback(func() {
			value, err := b.env.QueryWorkflow(workflows.StateQuery)
			if err != nil {
				t.Error(err)
				return
			}
			var state domain.CheckoutState
			if err := value.Get(&state); err != nil {
				t.Error(err)
			}
			states = append(states, state)
			if after == 3*soon && !slices.Equal(a.statuses, []domain.OrderStatus{domain.OrderHeld}) {
				t.Errorf("soon after the cancel its answers are %v", a.statuses)
			}
		}, after)
	}
	ended := b.run()
	for i, want := range []bool{false, true, true} {
		if states[i].Status != domain.OrderHeld || states[i].Processing != want {
			t.Errorf("question %d: %s, processing %t; want held, %t", i, states[i].Status, states[i].Processing, want)
		}
	}
	if kept := states[2].Hold.KeptUntil().Sub(states[2].Hold.ExpiresAt); kept != extension || ended.Ended.Before(states[2].Hold.KeptUntil()) {
		t.Errorf("the seats are kept for %s more, and went back at %s", kept, ended.Ended)
	}
}

// Over the whole extension the provider is asked a bounded number of times.
func TestTheProviderIsAskedSeldomWhileItIsProcessing(t *testing.T) {
	b := delayed(t, nil)
	b.run()
	if looks := b.world.count("expire"); looks < 10 || looks > 26 {
		t.Errorf("the provider was asked %d times in %s", looks, extension)
	}
	for _, s := range b.steps.steps {
		if s.activity != "ExpireUnlessProcessing" {
			continue
		}
		if want := 5 * time.Minute; s.overall > 2*time.Hour && s.retry.MaximumInterval != want || s.overall <= 2*time.Hour && s.retry.MaximumInterval > 5*time.Second {
			t.Errorf("with %s left, an outage has it asked every %s", s.overall, s.retry.MaximumInterval)
		}
		if s.attempt != 15*time.Second {
			t.Errorf("one attempt may take %s", s.attempt)
		}
	}
}

// A hold that a node placed which knew nothing of extensions is not extended: the ledger
// would have freed its seats.
func TestAHoldThatIsNotExtended(t *testing.T) {
	b := delayed(t, nil)
	b.order.ProcessingExtension = 0
	b.at(day, func(w *world) { w.arrive(b.capture()) })
	if state := b.run(); state.Status != domain.OrderPaid || b.world.count("expire") < 100 {
		t.Errorf("%s, asked %d times", state.Status, b.world.count("expire"))
	}
	for _, s := range b.steps.steps {
		if s.activity == "ExpireUnlessProcessing" {
			t.Error("it was asked as if somebody kept the seats")
		}
	}
}
