package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
)

// AuditScheduleID is the schedule that runs the audit. Its workflows' ids begin with it.
const AuditScheduleID = "audit"

// AuditTaskQueue keeps audits out of the checkouts' way.
const AuditTaskQueue = "audits"

// Limits of one audit. Unlike owed money, an audit is not worth waiting for: the next one
// sees the same.
const (
	AuditTimeout          = 15 * time.Minute // all attempts of a run
	auditAttemptTimeout   = 10 * time.Minute
	auditHeartbeatTimeout = 30 * time.Second // three beats: we notice a dead worker, however long a source takes
	auditAttemptsMax      = 3
	auditBackoff          = 2 * time.Second
)

// audits is never called. It only gives the activity its name.
var audits *activities.Audits

// Audit compares the ledger, the orders, Temporal and the provider for every sale. It
// completes whatever it finds; a run fails only if it could not look.
func Audit(ctx workflow.Context) (domain.AuditOutcome, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: AuditTimeout,
		StartToCloseTimeout:    auditAttemptTimeout,
		HeartbeatTimeout:       auditHeartbeatTimeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    auditBackoff,
			BackoffCoefficient: 2,
			MaximumAttempts:    auditAttemptsMax,
		},
		Summary: "audit every sale",
	})
	var outcome domain.AuditOutcome
	err := workflow.ExecuteActivity(ctx, audits.AuditSales).Get(ctx, &outcome)
	if err == nil {
		workflow.SetCurrentDetails(ctx, auditDetails(&outcome))
	}
	return outcome, err
}

func auditDetails(o *domain.AuditOutcome) string {
	switch {
	case o.Broken > 0:
		return fmt.Sprintf("**BROKEN**: %d offenders in %d sales. `boxoffice verify` lists them and says what to do.", o.Broken, o.Sales)
	case len(o.Unread) > 0:
		return fmt.Sprintf("**could not look** at everything: %d sales.", o.Sales)
	default:
		return fmt.Sprintf("every invariant holds: %d sales", o.Sales)
	}
}
