package pace_test

import (
	"context"
	"errors"
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
