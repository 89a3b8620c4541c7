package admission

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// A hold counts if the ledger answered it or did not answer in time. One that never reached
// the ledger does not.
func TestLatencyOfHolds(t *testing.T) {
	for name, test := range map[string]struct {
		holds          int
		err            error
		want, verdicts int
	}{
		"none":                                 {0, nil, 0, 0},
		"ten":                                  {10, nil, 10, 10},
		"given up":                             {1, &domain.UnknownError{Op: "hold"}, 1, 0},
		"out of time":                          {1, context.DeadlineExceeded, 1, 0},
		"not asked for":                        {1, &domain.Error{Code: domain.CodeOverloaded}, 0, 0},
		"the key's first request is in flight": {1, &domain.Error{Code: domain.CodeInFlight}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l load
				for range test.holds {
					l.held(t.Context(), &domain.Sale{ID: "sale"}, time.Now().Add(-50*time.Millisecond), test.err)
				}
				for i, w := range l.windows() {
					if w.Holds.Above(30*time.Millisecond) != test.want || w.Holds.Above(70*time.Millisecond) != 0 || w.Verdicts != test.verdicts {
						t.Errorf("window %d: %d counted, %d verdicts; want %d and %d", i, w.Holds.Count(), w.Verdicts, test.want, test.verdicts)
					}
				}
				time.Sleep(waitingroom.LoadWindows[0])
				if w := l.windows(); w[0].Holds.Count() != 0 || w[1].Holds.Count() != test.want {
					t.Errorf("after the shortest window %d and %d are left", w[0].Holds.Count(), w[1].Holds.Count())
				}
				time.Sleep(time.Hour)
				if w := l.windows(); w != [len(waitingroom.LoadWindows)]waitingroom.LoadWindow{} {
					t.Errorf("much later there is %+v", w)
				}
			})
		})
	}
}

// A client that leaves at once says nothing about the engine. One that leaves after the
// engine should have answered does, be it a buyer or a proxy. Otherwise, behind a proxy with
// a shorter timeout than ours, a hanging engine would look like buyers who changed their
// minds.
func TestAClientThatLeavesDuringAHold(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		err   error
		want  time.Duration
	}{
		"at once":                       {time.Millisecond, context.Canceled, 0},
		"before it is slow":             {holdLatencyTarget - time.Millisecond, context.Canceled, 0},
		"when it is slow":               {holdLatencyTarget, context.Canceled, holdLatencyTarget},
		"a proxy that cuts at 14 s":     {14 * time.Second, &domain.UnknownError{Op: "hold", Err: context.Canceled}, 14 * time.Second},
		"as the verdict came":           {100 * time.Millisecond, nil, 100 * time.Millisecond},
		"that never reached the ledger": {14 * time.Second, &domain.Error{Code: domain.CodeOverloaded}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l load
				ctx, leave := context.WithCancel(t.Context())
				leave()
				l.held(ctx, &domain.Sale{ID: "sale"}, time.Now().Add(-c.after), c.err)
				w := l.windows()[0]
				if counted := w.Holds.Count() == 1; counted != (c.want > 0) || counted && w.Holds.Above(c.want/2) != 1 {
					t.Errorf("%d counted, %d above %v", w.Holds.Count(), w.Holds.Above(c.want/2), c.want/2)
				}
			})
		})
	}
}

// Nobody may shut a door by leaving or by sending a body slowly. Only failures of the node
// itself count.
func TestWhatCountsAsOverloaded(t *testing.T) {
	here := t.Context()
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	overloaded := func(why error) error { return &domain.Error{Code: domain.CodeOverloaded, Err: why} }
	for _, test := range []struct {
		name string
		ctx  context.Context
		why  error
		want int
	}{
		{"the bound", here, overloaded(errBoundReached), 1},
		{"an unknown outcome", here, &domain.UnknownError{Op: "hold"}, 1},
		{"one that took too long", late, context.DeadlineExceeded, 1},
		{"clocks that differ", here, &domain.Error{Code: domain.CodeClocksDiffer}, 1},
		{"who left", left, &domain.UnknownError{Op: "hold", Err: context.Canceled}, 0},
		{"whose body was slow", here, overloaded(errNoTimeLeft), 0},
		{"sold out", here, &domain.Error{Code: domain.CodeSoldOut}, 0},
		{"a key whose first request is in flight", late, &domain.Error{Code: domain.CodeInFlight, Err: context.DeadlineExceeded}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var l load
			l.refused(test.ctx, test.why)
			if got := l.windows()[0].Refused; got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

// A failure before the gate says nothing about the engine.
func TestFailuresBeforeTheGateDoNotCount(t *testing.T) {
	for name, ask := range map[string]func(b *bundle) error{
		"a room without its database": func(b *bundle) error { return b.tokenRefusal("token", wish("A", 1)) },
		"a catalog without its database": func(b *bundle) error {
			b.world.SaleErr = &domain.Error{Code: domain.CodeOverloaded}
			return b.refusal(testKey, wish("A", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t) // without rooms
			wantRefusal(t, ask(b), domain.CodeOverloaded)
			if refused := b.adm.Load().Windows[0].Refused; refused != 0 {
				t.Errorf("%d overloaded answers, although the engine was not asked", refused)
			}
		})
	}
}

func TestLoadOfANode(t *testing.T) {
	b := setup(t, func(o *Options) { o.InFlightMax = 7 })
	wantHeld(t, b.refusal(testKey, wish("A", 2)))
	b.world.StartErr = &domain.UnknownError{Op: "hold", Err: errors.New("the ledger is down")}
	wantRefusal(t, b.refusal(testKey+"-1", wish("A", 1)), domain.CodeUnknown)
	b.world.StartErr = &domain.Error{Code: domain.CodeOverloaded}
	wantRefusal(t, b.refusal(testKey+"-2", wish("A", 1)), domain.CodeOverloaded)
	if _, err := b.adm.Pay(t.Context(), domain.PaymentEvent{}); domain.CodeOf(err) != domain.CodeNotFound {
		t.Fatal(err) // a no is an answer of the engine too
	}
	b.adm.bound.enter(time.Now())

	load := b.adm.Load()
	lately := load.Windows[len(load.Windows)-1]
	if load.InFlight != 1 || load.InFlightMax != 7 || lately.Holds.Count() == 0 || lately.Webhooks.Count() == 0 || lately.Verdicts == 0 || lately.Refused != 2 {
		t.Errorf("%+v", load)
	}
}

// No request reaches a part that is down, and that says nothing about how fast the engine is.
func TestNothingPassesAnOpenBreaker(t *testing.T) {
	b := setup(t)
	for _, breaker := range b.adm.Breakers.All() {
		for range breakerFailuresMax {
			_, _ = Guard(t.Context(), breaker, func() (int, error) { return 0, &domain.UnknownError{Op: "hold"} })
		}
	}
	order := domain.Order{SaleID: b.sale.ID}
	for name, ask := range map[string]func() error{
		"start": func() error {
			_, err := b.adm.start(t.Context(), b.sale, &order, func(time.Duration, error) {})
			return err
		},
		"pay":   func() error { _, err := b.adm.Pay(t.Context(), domain.PaymentEvent{}); return err },
		"state": func() error { _, err := b.adm.State(t.Context(), domain.OrderID{}); return err },
	} {
		if err := ask(); !isRefusedUnasked(err) || domain.CodeOf(err) != domain.CodeOverloaded {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.adm.bound.webhooks != 0 || b.adm.bound.holds.n != 0 {
		t.Errorf("%d webhooks and %d holds that were never sent count as fast", b.adm.bound.webhooks, b.adm.bound.holds.n)
	}
}
