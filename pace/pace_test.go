package pace_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/pace"
)

func TestAPauseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, c := range []struct {
			pause, takes time.Duration
			err          error
		}{
			{300 * time.Millisecond, 300 * time.Millisecond, nil},
			{time.Minute, 700 * time.Millisecond, context.DeadlineExceeded},
			{time.Minute, 0, context.DeadlineExceeded},
		} {
			began := time.Now()
			if err := pace.Pause(ctx, c.pause); !errors.Is(err, c.err) || time.Since(began) != c.takes {
				t.Errorf("a pause of %v: %v after %v, want %v after %v", c.pause, err, time.Since(began), c.err, c.takes)
			}
		}
	})
}

func TestAWaitAfterFailuresDoublesUpToItsMost(t *testing.T) {
	const least, most = time.Second, 5 * time.Minute
	for failures, want := range map[int]time.Duration{
		0: least, 1: least, 2: 2 * time.Second, 5: 16 * time.Second, 9: 256 * time.Second, 10: most, 1000: most,
	} {
		if got := pace.Backoff(least, most, failures); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
	if got := pace.Backoff(math.MaxInt64/2+1, math.MaxInt64, 9); got != math.MaxInt64 {
		t.Errorf("the longest wait is %v", got)
	}
}

func TestAWaitIsSpreadByATenth(t *testing.T) {
	const wait = 10 * time.Second
	shortest, longest := wait, wait
	for range 1000 {
		got := pace.Spread(wait)
		if got < 9*time.Second || got > 11*time.Second {
			t.Fatalf("%v became %v", wait, got)
		}
		shortest, longest = min(shortest, got), max(longest, got)
	}
	if shortest > 9500*time.Millisecond || longest < 10500*time.Millisecond {
		t.Errorf("a thousand waits were between %v and %v: those who failed together come back together", shortest, longest)
	}
	if got := pace.Spread(0); got != 0 {
		t.Errorf("no wait became %v", got)
	}
}

// A call that takes longer than the interval is not followed by the next one at once.
func TestEveryWaitsAfterEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		stop := pace.Every(time.Second, func(ctx context.Context) {
			at = append(at, time.Since(began))
			_ = pace.Pause(ctx, 3*time.Second)
		})
		time.Sleep(9 * time.Second)
		stop()
		if want := []time.Duration{0, 4 * time.Second, 8 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("called at %v, want %v", at, want)
		}
	})
}

func TestEveryIsAtOnceAndAgainUntilItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		var interrupted atomic.Bool
		stop := pace.Every(time.Second, func(ctx context.Context) {
			if calls.Add(1) == 4 {
				<-ctx.Done() // the call under way sees its context end
				interrupted.Store(true)
			}
		})
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if calls.Load() != 3 {
			t.Errorf("%d calls in 2.5 s, want 3: at 0, 1 and 2 s", calls.Load())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		stop()
		if calls.Load() != 4 || !interrupted.Load() {
			t.Errorf("%d calls, the last interrupted %t; want 4 and true when it has stopped", calls.Load(), interrupted.Load())
		}
		time.Sleep(time.Minute)
		if calls.Load() != 4 {
			t.Errorf("%d calls after it has stopped", calls.Load())
		}
	})
}
