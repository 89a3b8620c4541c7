package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"boxoffice/pace"
)

// Start-up order does not matter: a process waits for everything that it needs at once,
// and says what it waits for.
const (
	attemptTimeout = 10 * time.Second
	waitBackoff    = 250 * time.Millisecond
	waitBackoffMax = 5 * time.Second
)

// A dependency is what a process waits for. Its name is public (/readyz); what to do
// about it is for the log.
type dependency struct{ name, next string }

var (
	needsOrders   = dependency{"orders database", "start Postgres, or correct DATABASE_URL; a schema that is missing or too old needs `boxoffice migrate`"}
	needsTemporal = dependency{
		"temporal",
		"start Temporal, or correct TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and TEMPORAL_TLS…; missing search attributes need `boxoffice migrate`",
	}
	needsAttributes = dependency{"temporal search attributes", "look at Temporal's own log"}
	needsSchedule   = dependency{"temporal schedule of the audit", "look at Temporal's own log"}
	needsBoxOffice  = dependency{"box office", "start `boxoffice serve`, or correct BOXOFFICE_ADMIN_URL"}
)

// waiting is what the start waits for, for /readyz.
type waiting struct {
	mu    sync.Mutex
	names map[string]bool
}

func (w *waiting) begin(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names == nil {
		w.names = make(map[string]bool)
	}
	w.names[name] = true
}

func (w *waiting) end(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.names, name)
}

// list is sorted.
func (w *waiting) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.names))
}

func (w *waiting) String() string {
	names := w.list()
	if len(names) == 0 {
		return "The box office is starting."
	}
	return "The box office is waiting for: " + strings.Join(names, ", ") + "."
}

// await tries until it succeeds or the context ends. A permanent error ends it at once.
func await[T any](ctx context.Context, log *slog.Logger, w *waiting, what dependency, try func(context.Context) (T, error)) (T, error) {
	w.begin(what.name)
	backoff := waitBackoff
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		value, err := try(attempt)
		cancel()
		if err == nil {
			w.end(what.name)
			return value, nil
		}
		if ctx.Err() != nil || isPermanent(err) {
			return value, fmt.Errorf("%s: %w (%s)", what.name, err, what.next)
		}
		log.Warn("waiting", "for", what.name, "next", what.next, "error", err)
		_ = pace.Pause(ctx, backoff)
		backoff = min(2*backoff, waitBackoffMax)
	}
}
