package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
)

// An Auditor audits every sale. beat is told what it is doing, for the Web UI.
type Auditor interface {
	AuditAll(ctx context.Context, beat func(doing string)) (AuditOutcome, error)
}

// AuditOutcome is what stands in Temporal of an audit: counts and ids, nothing
// of a buyer. The whole of it is in the reports.
type AuditOutcome struct {
	Sales    int            `json:"sales"`
	Broken   int64          `json:"broken"`             // offenders, over all invariants and sales
	Findings []AuditFinding `json:"findings,omitempty"` // some of them
	Unread   map[string]int `json:"unread,omitempty"`   // source → sales for which it could not be read
}

// AuditFinding is an invariant that is broken.
type AuditFinding struct {
	Sale      string `json:"sale,omitempty"` // empty: what belongs to no sale
	Invariant string `json:"invariant"`
	Subject   string `json:"subject,omitempty"`
	Offenders int64  `json:"offenders"`
}

// Audits are the activities of the scheduled audit.
type Audits struct{ Auditor Auditor }

// AuditSales audits every sale, and keeps and tells what it found. That an
// invariant is broken is a result; an error means that nobody could look.
func (a *Audits) AuditSales(ctx context.Context) (AuditOutcome, error) {
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
