package activities

import (
	"context"

	"go.temporal.io/sdk/activity"
)

// An Auditor audits every sale. beat must be called now and then, with what it
// is doing: without it the attempt is taken for dead.
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
	outcome, err := a.Auditor.AuditAll(ctx, func(doing string) { activity.RecordHeartbeat(ctx, doing) })
	return outcome, forWorkflow(err)
}
