// Package pace lets a goroutine wait without outliving its context, and says how long to wait
// after a failure.
package pace

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Pause waits this long. If the context ends first, it returns the context's error.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Within reports whether done is closed before this time is over.
func Within(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// Backoff is how long to wait after so many failures in a row: least after the first,
// twice as long after each further one, never more than most.
func Backoff(least, most time.Duration, failures int) time.Duration {
	wait := least
	for range failures - 1 {
		if wait > most/2 {
			return most
		}
		wait *= 2
	}
	return min(wait, most)
}

// Spread is a wait give or take a tenth, at random, so that those who failed together do
// not come back together.
func Spread(wait time.Duration) time.Duration {
	return wait - wait/10 + rand.N(wait/5+1)
}

// Every calls do at once, and again an interval after each call has ended. stop cancels the
// context of the call under way and returns when it has ended.
func Every(interval time.Duration, do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		do(ctx)
		for Pause(ctx, interval) == nil {
			do(ctx)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}
