package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

// The door follows the 90th percentile of what holds took in the last seconds.
func TestLatencyOfHolds(t *testing.T) {
	for name, test := range map[string]struct {
		holds []time.Duration
		err   error
		want  time.Duration
	}{
		"none":                   {nil, nil, 0},
		"one":                    {[]time.Duration{3}, nil, 3},
		"ten":                    {[]time.Duration{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, nil, 9},
		"given up":               {[]time.Duration{5}, &domain.UnknownError{Op: "hold"}, 5},
		"out of time":            {[]time.Duration{5}, context.DeadlineExceeded, 5},
		"not asked for":          {[]time.Duration{5}, &domain.Error{Code: domain.CodeOverloaded}, 0},
		"the key's first is out": {[]time.Duration{5}, &domain.Error{Code: domain.CodeInFlight}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l load
				began := time.Now()
				for _, took := range test.holds {
					l.held(t.Context(), time.Now().Add(-took), test.err)
				}
				if got := l.holds.recent(time.Now()); got != test.want {
					t.Errorf("%v, want %v", got, test.want)
				}
				if got := l.holds.recent(began.Add(loadWindow)); got != 0 {
					t.Errorf("%v after the window, want 0", got)
				}
			})
		})
	}
}

// At many a second the newest count.
func TestLatencyRemembersABoundedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l load
		for range loadSamples {
			l.held(t.Context(), time.Now().Add(-time.Minute), nil)
		}
		for range loadSamples {
			time.Sleep(5 * time.Millisecond)
			l.held(t.Context(), time.Now(), nil)
		}
		if got := l.holds.recent(time.Now()); got >= time.Minute {
			t.Errorf("%v: the oldest were not forgotten", got)
		}
	})
}

// Verdicts are counted over two seconds, however they come; what has no verdict is not
// one.
func TestHoldsASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l load
		hold := func(n int, err error) {
			for range n {
				l.held(t.Context(), time.Now(), err)
			}
		}
		want := func(what string, least, most float64) {
			t.Helper()
			if got := l.verdicts.perSecond(time.Now()); got < least || got > most {
				t.Errorf("%s: %v a second, want %v to %v", what, got, least, most)
			}
		}
		want("before any", 0, 0)
		for range 600 {
			hold(1, nil)
			time.Sleep(5 * time.Millisecond)
		}
		want("200 a second", 190, 200)
		time.Sleep(3 * time.Second)
		want("after a pause", 0, 0)
		hold(64, nil) // all that waited, at once
		hold(64, &domain.UnknownError{Op: "hold"})
		want("at the end of the pause", 32, 32)
		time.Sleep(time.Second)
		hold(10, nil)
		want("a second later", 37, 37)
		time.Sleep(1100 * time.Millisecond)
		want("when the first are forgotten", 5, 5)
		time.Sleep(time.Hour)
		want("much later", 0, 0)
	})
}

func TestWhoLeavesDoesNotCountAsSlow(t *testing.T) {
	var l load
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.held(ctx, time.Now().Add(-time.Minute), context.Canceled)
	if got := l.holds.recent(time.Now()); got != 0 {
		t.Errorf("%v, want 0", got)
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
		want  int64
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
			if got := l.overloaded.Load(); got != test.want {
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
	if load := b.api.Load(); load.Overloaded != 0 {
		t.Errorf("%d overloaded answers, want none", load.Overloaded)
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
	if load.InFlight != 1 || load.InFlightMax != 7 || load.HoldLatency <= 0 || load.WebhookLatency <= 0 || load.HoldsPerSecond <= 0 || load.Overloaded != 2 {
		t.Errorf("%+v", load)
	}
	if load := b.api.Load(); load.Overloaded != 0 {
		t.Errorf("%d overloaded answers, and they were told before", load.Overloaded)
	}
}
