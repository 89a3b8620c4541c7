package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Start-up order does not matter: a process waits for what it needs, and says
// what it waits for.
const (
	attemptTimeout = 10 * time.Second
	waitBackoff    = 250 * time.Millisecond
	waitBackoffMax = 5 * time.Second
)

// waiting names what the start waits for, for /readyz.
type waiting struct{ reason atomic.Pointer[string] }

func (w *waiting) set(reason string) { w.reason.Store(&reason) }

func (w *waiting) String() string {
	if reason := w.reason.Load(); reason != nil {
		return *reason
	}
	return "starting"
}

// await tries until it succeeds or the context ends. A hopeless error (see
// permanent) ends it at once.
func await[T any](ctx context.Context, log *slog.Logger, w *waiting, what string, try func(context.Context) (T, error)) (T, error) {
	backoff := waitBackoff
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		value, err := try(attempt)
		cancel()
		if err == nil {
			return value, nil
		}
		w.set("waiting for " + what) // why is in the log: the answer is public
		if ctx.Err() != nil || isPermanent(err) {
			return value, fmt.Errorf("%s: %w", what, err)
		}
		log.Info("waiting", "for", what, "error", err)
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, waitBackoffMax)
	}
}
