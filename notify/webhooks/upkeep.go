package webhooks

import (
	"context"
	"log/slog"
	"time"

	"boxoffice/pace"
)

const (
	upkeepInterval = time.Minute
	// overdueMin is above what a delivery that runs is behind in quiet times. In a rush it is behind for longer: then it is woken for
	// nothing, once in upkeepInterval by each node.
	overdueMin = time.Minute
	sweepMax   = 1000 // rows that one statement changes
	sweepPause = 100 * time.Millisecond
	logKept    = 30 * 24 * time.Hour // for delivered and given up events
)

// UpkeepStore is what upkeep works on. orders.Store is one.
type UpkeepStore interface {
	SweepWebhooks(ctx context.Context, kept time.Duration, limit int) (more bool, err error)
	OverdueWebhookEndpoints(ctx context.Context, overdue time.Duration) ([]string, error)
}

// StartUpkeep wakes deliveries that should have sent something and did not, and deletes what nobody needs any more, until stop. So a
// delivery that somebody terminated goes on within two minutes, and an endpoint that is disabled or deleted keeps no event in the log.
func StartUpkeep(store UpkeepStore, c signaller, log *slog.Logger) (stop func()) {
	return pace.Every(upkeepInterval, func(ctx context.Context) {
		wakeOverdue(ctx, store, c, log)
		for more := true; more && ctx.Err() == nil; _ = pace.Pause(ctx, sweepPause) {
			var err error
			if more, err = store.SweepWebhooks(ctx, logKept, sweepMax); err != nil && ctx.Err() == nil {
				log.Warn("webhooks: cannot delete old deliveries", "error", err)
			}
		}
	})
}

func wakeOverdue(ctx context.Context, store UpkeepStore, c signaller, log *slog.Logger) {
	endpoints, err := store.OverdueWebhookEndpoints(ctx, overdueMin)
	if err != nil && ctx.Err() == nil {
		log.Warn("webhooks: cannot look for overdue deliveries", "error", err)
	}
	for _, endpoint := range endpoints {
		if err := wake(ctx, c, endpoint, Wake{Why: "something is overdue"}); err != nil && ctx.Err() == nil {
			log.Warn("webhooks: cannot wake an overdue delivery", "endpoint", endpoint, "error", err)
		}
	}
}
