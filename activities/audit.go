package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"boxoffice/domain"
)

// An Auditor audits every sale. It calls beat with what it is doing, for the Web UI.
type Auditor interface {
	AuditAll(ctx context.Context, beat func(doing string)) (domain.AuditOutcome, error)
}

// Audits are the activities of the scheduled audit.
type Audits struct{ Auditor Auditor }

// AuditSales audits every sale, stores what it found and publishes it. A broken invariant
// is a result; an error means that the audit could not look.
func (a *Audits) AuditSales(ctx context.Context) (domain.AuditOutcome, error) {
	doing := make(chan string)
	done := make(chan struct{})
	defer close(done)
	go beat(ctx, doing, done)
	outcome, err := a.Auditor.AuditAll(ctx, func(next string) {
		select {
		case doing <- next:
		case <-ctx.Done():
		}
	})
	return outcome, forWorkflow(err)
}

// auditBeatEvery is how often an audit reports that its worker is alive. Its attempt's
// timeout limits how long it may take.
const auditBeatEvery = 10 * time.Second

func beat(ctx context.Context, doing <-chan string, done <-chan struct{}) {
	every := time.NewTicker(auditBeatEvery)
	defer every.Stop()
	now := ""
	for {
		select {
		case now = <-doing:
		case <-every.C:
		case <-done:
			return
		case <-ctx.Done():
			return
		}
		activity.RecordHeartbeat(ctx, now)
	}
}
