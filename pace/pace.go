// Package pace lets a goroutine wait without outliving its context.
package pace

import (
	"context"
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

// Every calls do at once, and again after each interval, one call at a time. stop cancels the context of the call under way and
// returns when it has ended.
func Every(interval time.Duration, do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		next := time.NewTicker(interval)
		defer next.Stop()
		for ctx.Err() == nil {
			do(ctx)
			select {
			case <-next.C:
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}
