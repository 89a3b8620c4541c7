package mail

import (
	"context"
	"log/slog"
	"time"

	"boxoffice/domain"
	"boxoffice/pace"
)

const forgetInterval = 10 * time.Minute

// StartForgetting drops the addresses of those who asked for their orders when their time is over,
// until stop: also where mail was switched off since.
func StartForgetting(store interface {
	// ForgetAskedMails drops asked mails that are settled and older than that.
	ForgetAskedMails(ctx context.Context, olderThan time.Duration) error
}, log *slog.Logger) (stop func()) {
	return pace.Every(forgetInterval, func(ctx context.Context) {
		if err := store.ForgetAskedMails(ctx, domain.AskWindow); err != nil && ctx.Err() == nil {
			log.Warn("asked mails cannot be forgotten yet", "error", err)
		}
	})
}
