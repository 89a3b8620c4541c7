package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// What the ledger answered, or did not in time, counts; what was not asked of it does not.
func TestLatencyOfHolds(t *testing.T) {
	for name, test := range map[string]struct {
		holds          int
		err            error
		want, verdicts int
	}{
		"none":                   {0, nil, 0, 0},
		"ten":                    {10, nil, 10, 10},
		"given up":               {1, &domain.UnknownError{Op: "hold"}, 1, 0},
		"out of time":            {1, context.DeadlineExceeded, 1, 0},
		"not asked for":          {1, &domain.Error{Code: domain.CodeOverloaded}, 0, 0},
		"the key's first is out": {1, &domain.Error{Code: domain.CodeInFlight}, 0, 0},
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

// Who leaves at once says nothing of the engine. Who leaves after a time in which it should
// have answered does, buyer or proxy: else an engine that hangs behind a proxy that cuts
// earlier than we do would look like one of which all buyers think better of it.
func TestWhoLeavesAHold(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		err   error
		want  time.Duration
	}{
		"at once":                    {time.Millisecond, context.Canceled, 0},
		"before it is slow":          {holdLatencyTarget - time.Millisecond, context.Canceled, 0},
		"when it is slow":            {holdLatencyTarget, context.Canceled, holdLatencyTarget},
		"a proxy that cuts at 14 s":  {14 * time.Second, &domain.UnknownError{Op: "hold", Err: context.Canceled}, 14 * time.Second},
		"as the verdict came":        {100 * time.Millisecond, nil, 100 * time.Millisecond},
		"of which nothing was asked": {14 * time.Second, &domain.Error{Code: domain.CodeOverloaded}, 0},
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

// Nobody may shut a door by leaving, or by sending a body slowly: only what the
// node itself could not do counts.
func TestWhatCountsAsOverloaded(t *testing.T) {
	here := t.Context()
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	for _, test := range []struct {
		name  string
		ctx   context.Context
		route string
		code  domain.Code
		why   error
		want  int
	}{
		{"the bound", here, checkoutsRoute, domain.CodeOverloaded, errBoundReached, 1},
		{"an outcome that is not known", here, checkoutsRoute, domain.CodeUnknown, nil, 1},
		{"one that took too long", late, checkoutsRoute, domain.CodeUnknown, nil, 1},
		{"who left", left, checkoutsRoute, domain.CodeUnknown, context.Canceled, 0},
		{"whose body was slow", here, checkoutsRoute, domain.CodeOverloaded, &domain.Error{Code: domain.CodeOverloaded, Err: errNoTimeLeft}, 0},
		{"a full node, a waiting room without its database", here, checkoutsRoute, domain.CodeOverloaded, beforeEngine{&domain.Error{Code: domain.CodeOverloaded}}, 0},
		{"sold out", here, checkoutsRoute, domain.CodeSoldOut, nil, 0},
		{"another route", here, "/v1/queue/:token", domain.CodeOverloaded, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var l load
			l.answered(test.ctx, test.route, test.code, test.why)
			if got := l.windows()[0].Refused; got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

// A client that hangs up while its hold is pending.
func TestWhoHangsUpIsNoOverload(t *testing.T) {
	b := setup(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	b.api.problem(context.WithValue(ctx, requestKey, &requestInfo{route: checkoutsRoute}), &domain.UnknownError{Op: "hold", Err: ctx.Err()})
	if n := b.api.Load().Windows[0].Refused; n != 0 {
		t.Errorf("%d overloaded answers, want none", n)
	}
}

func TestLoadOfANode(t *testing.T) {
	b := setup(t, func(o *Options) { o.CheckoutsInFlightMax = 7 })
	b.held(testKey)
	b.world.startErr = &domain.UnknownError{Op: "hold", Err: errors.New("the ledger is away")}
	wantProblem(t, b.checkout(testKey+"-1", wish("A", 1)), 503, domain.CodeUnknown)
	b.world.startErr = &domain.Error{Code: domain.CodeOverloaded}
	wantProblem(t, b.checkout(testKey+"-2", wish("A", 1)), 503, domain.CodeOverloaded)
	wantProblem(t, b.checkout("", wish("A", 1)), 400, domain.CodeKeyMissing)
	wantProblem(t, b.do(request{method: "GET", path: "/v1/queue/x"}), 503, domain.CodeOverloaded) // no checkout
	if _, err := b.api.Desk.Pay(t.Context(), domain.PaymentEvent{}); domain.CodeOf(err) != domain.CodeNotFound {
		t.Fatal(err) // also a no is an answer of the engine
	}
	b.api.adaptive.enter(time.Now())

	load := b.api.Load()
	lately := load.Windows[len(load.Windows)-1]
	if load.InFlight != 1 || load.InFlightMax != 7 || lately.Holds.Count() == 0 || lately.Webhooks.Count() == 0 || lately.Verdicts == 0 || lately.Refused != 2 {
		t.Errorf("%+v", load)
	}
}
