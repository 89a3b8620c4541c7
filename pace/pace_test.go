package pace_test

import (
	"context"
	"errors"
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
		calls, interrupted := 0, false
		stop := pace.Every(time.Second, func(ctx context.Context) {
			if calls++; calls == 4 {
				<-ctx.Done() // what is under way is told
				interrupted = true
			}
		})
		time.Sleep(2500 * time.Millisecond)
		if calls != 3 {
			t.Errorf("%d calls in 2.5 s, want 3: at 0, 1 and 2 s", calls)
		}
		time.Sleep(time.Second)
		stop()
		if calls != 4 || !interrupted {
			t.Errorf("%d calls, the last interrupted %t; want 4 and true when it has stopped", calls, interrupted)
		}
		time.Sleep(time.Minute)
		if calls != 4 {
			t.Errorf("%d calls after it has stopped", calls)
		}
	})
}
