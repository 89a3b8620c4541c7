package load

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The clock in these tests is synctest's: nothing waits for real, and every
// time is exact.

// target answers after a fixed time, up to n requests at once.
type target struct {
	takes  time.Duration
	places chan struct{}
}

func newTarget(takes time.Duration, atOnce int) *target {
	return &target{takes, make(chan struct{}, atOnce)}
}

func (t *target) step(context.Context, *Request) error {
	t.places <- struct{}{}
	time.Sleep(t.takes)
	<-t.places
	return nil
}

func run(t *testing.T, p Plan, step Step) Measured {
	t.Helper()
	m, err := Run(t.Context(), p, step)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// within allows what a histogram of three digits rounds.
func within(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < want*0.998 || got > want*1.002 {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestClosedLoopWaitsForItsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := run(t, Plan{Clients: 4, Warmup: time.Second, Duration: 10 * time.Second}, newTarget(100*time.Millisecond, 100).step)
		within(t, "the rate", m.PerSecond(), 40)
		within(t, "p50", m.Latency.P50, 100)
		within(t, "p99.9", m.Latency.P999, 100)
		if m.Latency.Count != m.Requests || m.Requests != 400 {
			t.Errorf("%d of %d requests, want 400", m.Latency.Count, m.Requests)
		}
	})
}

// A target that stalls for a second once. A generator that waited for it would
// report one slow request; everything that was due meanwhile was late too.
func TestOpenLoopDoesNotOmitWhatWasDueDuringAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		serving := make(chan struct{}, 1)
		step := func(_ context.Context, r *Request) error {
			serving <- struct{}{}
			defer func() { <-serving }()
			if r.N == 200 { // due after 2.01 s
				time.Sleep(time.Second)
			}
			return nil
		}
		m := run(t, Plan{RatePerSecond: 100, Even: true, Duration: 4 * time.Second}, step)
		// 100 of the 399 arrivals came during the stall and waited from 0 to 1 s:
		// a quarter of all, evenly spread.
		within(t, "p99", m.Latency.P99, 960) // the fifth longest: 1000, 990, 980, 970, 960
		within(t, "the longest", m.Latency.Max, 1000)
		if m.Latency.Count != 399 {
			t.Errorf("%d latencies, want one for each of the 399 arrivals", m.Latency.Count)
		}
	})
}

// A target at half of the offered rate: the queue grows for as long as the load
// lasts, and latency says so, although each request is served in 20 ms.
func TestOpenLoopCountsTheQueue(t *testing.T) {
	for name, inFlightMax := range map[string]int{"queued at the target": 10_000, "queued in the generator": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { overload(t, inFlightMax) })
		})
	}
}

func overload(t *testing.T, inFlightMax int) {
	target := newTarget(20*time.Millisecond, 1)
	m := run(t, Plan{RatePerSecond: 100, Even: true, InFlightMax: inFlightMax, Duration: 10 * time.Second}, target.step)
	within(t, "the rate", m.PerSecond(), 50)
	// The n-th arrival is due after n × 10 ms and done after n × 20 ms.
	within(t, "p50", m.Latency.P50, 5_010)
	within(t, "the longest", m.Latency.Max, 10_000)
	if m.Requests != 999 || len(m.Errors) > 0 {
		t.Errorf("%d requests, errors %v; want 999, all served in the end", m.Requests, m.Errors)
	}
}

func TestOpenLoopCountsWhatItCannotSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := run(t, Plan{RatePerSecond: 10, Even: true, InFlightMax: 1, Duration: 5 * time.Second}, newTarget(10*time.Second, 1).step)
		if m.Errors[CodeNotSent] == 0 || m.Latency.Count+m.Errors[CodeNotSent] != m.Requests || m.Requests != 49 {
			t.Errorf("%d requests, %d answered, errors %v", m.Requests, m.Latency.Count, m.Errors)
		}
	})
}

func TestRandomArrivalsKeepTheRateAndTheirSeed(t *testing.T) {
	arrivals := func(seed uint64) (times []time.Time) {
		g := newGenerator(Plan{RatePerSecond: 1000, Seed: seed, Duration: 10 * time.Second}, nil)
		for due := range g.arrivals() {
			times = append(times, due)
		}
		return times
	}
	synctest.Test(t, func(t *testing.T) {
		first, again, other := arrivals(1), arrivals(1), arrivals(2)
		if len(first) < 9_700 || len(first) > 10_300 { // three standard deviations
			t.Errorf("%d arrivals in 10 s at 1000 a second", len(first))
		}
		if len(again) != len(first) || again[99] != first[99] {
			t.Error("the same seed gives other arrivals")
		}
		if other[99].Equal(first[99]) {
			t.Error("another seed gives the same arrivals")
		}
	})
}

func TestWarmupIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		began := time.Now()
		step := func(context.Context, *Request) error {
			calls.Add(1)
			if time.Since(began) < time.Second { // cold
				time.Sleep(500 * time.Millisecond)
				return errors.New("cold")
			}
			time.Sleep(10 * time.Millisecond)
			return nil
		}
		m := run(t, Plan{Clients: 1, Warmup: 2 * time.Second, Duration: 3 * time.Second}, step)
		if m.Latency.Max > 11 || len(m.Errors) > 0 {
			t.Errorf("the warm-up is in the result: max %v ms, errors %v", m.Latency.Max, m.Errors)
		}
		if m.Requests >= calls.Load() {
			t.Errorf("%d of %d calls were counted, the warm-up's too", m.Requests, calls.Load())
		}
	})
}

func TestErrorsAreNoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := func(ctx context.Context, r *Request) error {
			switch r.N % 4 {
			case 0:
				return nil
			case 1:
				return &Failure{Code: "503 overloaded", Detail: "busy"}
			case 2:
				<-ctx.Done()
				return ctx.Err()
			default:
				return errors.New("connection refused")
			}
		}
		m := run(t, Plan{Clients: 1, Requests: 40, Timeout: time.Second}, step)
		for code, want := range map[string]int64{"503 overloaded": 10, CodeTimeout: 10, CodeNoAnswer: 10} {
			if m.Errors[code] != want || m.Samples[code] == "" {
				t.Errorf("%d × %s (%q), want %d with a sample", m.Errors[code], code, m.Samples[code], want)
			}
		}
		if m.Done != 10 || m.Latency.Count != 10 || m.Requests != 40 {
			t.Errorf("%d done, %d latencies of %d requests", m.Done, m.Latency.Count, m.Requests)
		}
	})
}

func TestLapsBeginWhereTheLastOneEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := func(_ context.Context, r *Request) error {
			time.Sleep(30 * time.Millisecond)
			r.Lap("hold")
			time.Sleep(70 * time.Millisecond)
			r.Lap("pay")
			return nil
		}
		m := run(t, Plan{Clients: 1, Requests: 5}, step)
		within(t, "the whole", m.Latency.P50, 100)
		within(t, "hold", m.Laps["hold"].P50, 30)
		within(t, "pay", m.Laps["pay"].P50, 70)
	})
}

func TestARunEndsWhenNothingIsLeft(t *testing.T) {
	for name, plan := range map[string]Plan{
		"closed": {Clients: 3, Duration: time.Hour},
		"open":   {RatePerSecond: 100, Even: true, Duration: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := atomic.Int64{}
				left.Store(100)
				step := func(context.Context, *Request) error {
					if left.Add(-1) < 0 {
						return ErrExhausted
					}
					time.Sleep(10 * time.Millisecond)
					return nil
				}
				ended := false
				plan.End = func() { ended = true }
				m := run(t, plan, step)
				if m.Done < 98 || m.Seconds > 1.1 || len(m.Errors) > 0 || !ended {
					t.Errorf("%d done in %v s, errors %v, End called: %t", m.Done, m.Seconds, m.Errors, ended)
				}
			})
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		step := func(ctx context.Context, _ *Request) error { <-ctx.Done(); return ctx.Err() }
		_, err := Run(ctx, Plan{Clients: 8, Duration: time.Hour}, step)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestPlansThatCannotBe(t *testing.T) {
	for name, p := range map[string]Plan{
		"no load":                {Duration: time.Second},
		"two loads":              {Clients: 1, RatePerSecond: 1, Duration: time.Second},
		"no end":                 {Clients: 1},
		"two ends":               {Clients: 1, Duration: time.Second, Requests: 1},
		"a rate with a number":   {RatePerSecond: 1, Requests: 1},
		"too many clients":       {Clients: ClientsMax + 1, Duration: time.Second},
		"a rate beyond measure":  {RatePerSecond: RateMax + 1, Duration: time.Second},
		"a warm-up in the past":  {Clients: 1, Warmup: -1, Duration: time.Second},
		"a duration in the past": {Clients: 1, Duration: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Run(t.Context(), p, nil); err == nil {
				t.Error("the plan was accepted")
			}
		})
	}
}
