package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"boxoffice/domain"
)

// An Auditor audits every sale. beat is told what it is doing, for the Web UI.
type Auditor interface {
	AuditAll(ctx context.Context, beat func(doing string)) (domain.AuditOutcome, error)
}

// Audits are the activities of the scheduled audit.
type Audits struct{ Auditor Auditor }

// AuditSales audits every sale, and keeps and tells what it found. That an
// invariant is broken is a result; an error means that nobody could look.
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

// auditBeatEvery is how often an audit says that its worker lives. Whether it
// gets on is bounded by its attempt's timeout.
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
