package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"

	"boxoffice/activities"
	"boxoffice/workflows"
)

// Limits of the audit's interval. An audit reads every order.
const (
	AuditIntervalMin = 5 * time.Second
	AuditIntervalMax = 24 * time.Hour
)

// auditCatchup: after an outage one audit is enough, and it must be of now.
const auditCatchup = 10 * time.Second // the server's least

// auditStopTimeout: an audit may be cut off, because the next one sees the same.
const auditStopTimeout = time.Second

// NewAuditor makes a worker for audits only, one at a time, so that they take no
// checkout's slot. onFatal is called as with New.
func NewAuditor(c client.Client, audits *activities.Audits, onFatal func(error), with ...Option) *Worker {
	options := sdkworker.Options{
		MaxConcurrentActivityExecutionSize: 1,
		MaxConcurrentWorkflowTaskPollers:   2, // the SDK's least
		MaxConcurrentActivityTaskPollers:   1,
		DisableEagerActivities:             true,
		WorkerStopTimeout:                  auditStopTimeout,
		OnFatalError:                       onFatal,
	}
	for _, o := range with {
		o(&options)
	}
	w := sdkworker.New(c, workflows.AuditTaskQueue, options)
	RegisterAudit(w, audits)
	return &Worker{Worker: w}
}

// RegisterAudit names what the audit's histories may contain.
func RegisterAudit(r sdkworker.Registry, audits *activities.Audits) {
	r.RegisterWorkflowWithOptions(workflows.Audit, upgraded) // a release knows what itself and those before it wrote
	r.RegisterActivity(audits)
}

// ScheduleAudit runs the audit every interval; a run that takes longer delays the next
// ones. It may be called again: an existing schedule gets the interval, and stays paused
// if somebody paused it.
func ScheduleAudit(ctx context.Context, c client.Client, interval time.Duration) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: interval}}}
	action := &client.ScheduleWorkflowAction{
		ID:                       workflows.AuditScheduleID,
		Workflow:                 workflows.Audit,
		TaskQueue:                workflows.AuditTaskQueue,
		WorkflowExecutionTimeout: workflows.AuditTimeout + time.Minute,
		StaticSummary:            "audit of every sale",
	}
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: workflows.AuditScheduleID, Spec: spec, Action: action,
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: auditCatchup,
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		err = c.ScheduleClient().GetHandle(ctx, workflows.AuditScheduleID).Update(ctx, client.ScheduleUpdateOptions{
			DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
				there := in.Description.Schedule
				there.Spec, there.Action = &spec, action
				there.Policy.Overlap, there.Policy.CatchupWindow = enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, auditCatchup
				return &client.ScheduleUpdate{Schedule: &there}, nil
			},
		})
	}
	if err != nil {
		return fmt.Errorf("schedule the audit in Temporal (id %q): %w", workflows.AuditScheduleID, err)
	}
	return nil
}
