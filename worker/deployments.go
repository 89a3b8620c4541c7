package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"boxoffice/pace"
)

// Deployment is what operators do with the versions of a worker deployment.
type Deployment struct {
	client    client.Client
	name      string
	namespace string
}

// NewDeployment makes a Deployment of the client's namespace.
func NewDeployment(c client.Client, namespace, name string) *Deployment {
	return &Deployment{client: c, namespace: namespace, name: name}
}

func (d *Deployment) handle() client.WorkerDeploymentHandle {
	return d.client.WorkerDeploymentClient().GetHandle(d.name)
}

// A VersionState is how a version stands.
type VersionState string

// The states of a version.
const (
	VersionCurrent  VersionState = "current"  // new checkouts go to it
	VersionRamping  VersionState = "ramping"  // a share of them does
	VersionDraining VersionState = "draining" // it has only what it began
	VersionDrained  VersionState = "drained"  // it has nothing: its nodes may stop
	VersionInactive VersionState = "inactive" // it was never current
)

// A VersionStatus is one version, as operators see it.
type VersionStatus struct {
	BuildID string       `json:"build_id"`
	State   VersionState `json:"state"`
	Percent float32      `json:"percent,omitempty"` // of new checkouts, while it ramps
	Since   time.Time    `json:"since"`
	// Open are the workflows that stay on this version until they end. They may have been counted a moment ago.
	Open int64 `json:"open"`
}

// A DeploymentStatus is all versions, the newest first. Without a current one, new checkouts go to workers without versioning.
type DeploymentStatus struct {
	Deployment string          `json:"deployment"`
	Current    string          `json:"current,omitempty"`
	Versions   []VersionStatus `json:"versions"`
}

// Status describes all versions.
func (d *Deployment) Status(ctx context.Context) (DeploymentStatus, error) {
	status := DeploymentStatus{Deployment: d.name}
	found, err := d.handle().Describe(ctx, client.WorkerDeploymentDescribeOptions{})
	if err != nil {
		return status, fmt.Errorf("describe the worker deployment %q: %w", d.name, err)
	}
	if current := found.Info.RoutingConfig.CurrentVersion; current != nil {
		status.Current = current.BuildID
	}
	for _, summary := range found.Info.VersionSummaries {
		version, err := d.Version(ctx, summary.Version.BuildID)
		if err != nil {
			return status, err
		}
		status.Versions = append(status.Versions, version)
	}
	return status, nil
}

// Version describes one version.
func (d *Deployment) Version(ctx context.Context, build string) (VersionStatus, error) {
	found, err := d.handle().DescribeVersion(ctx, client.WorkerDeploymentDescribeVersionOptions{BuildID: build})
	if err != nil {
		return VersionStatus{}, fmt.Errorf("describe version %s of the worker deployment %q: %w", build, d.name, err)
	}
	v := VersionStatus{BuildID: build, State: stateOf(&found.Info), Percent: found.Info.RampPercentage, Since: found.Info.RoutingChangedTime}
	if v.Since.IsZero() {
		v.Since = found.Info.CreateTime
	}
	counted, err := d.client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: d.namespace, Query: d.open(build)})
	if err != nil {
		return v, fmt.Errorf("count what is open on version %s: %w", build, err)
	}
	v.Open = counted.GetCount()
	return v, nil
}

func stateOf(v *client.WorkerDeploymentVersionInfo) VersionState {
	switch {
	case !v.CurrentSinceTime.IsZero():
		return VersionCurrent
	case !v.RampingSinceTime.IsZero():
		return VersionRamping
	case v.DrainageInfo == nil || v.DrainageInfo.DrainageStatus == client.WorkerDeploymentVersionDrainageStatusUnspecified:
		return VersionInactive
	case v.DrainageInfo.DrainageStatus == client.WorkerDeploymentVersionDrainageStatusDrained:
		return VersionDrained
	default:
		return VersionDraining
	}
}

// open is the query for what stays on a version.
func (d *Deployment) open(build string) string {
	return fmt.Sprintf("TemporalWorkerDeploymentVersion = '%s' AND TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running'",
		Version{d.name, build})
}

// Drained reports whether a version's nodes may stop. Temporal looks every few minutes; what is open is counted beside it.
func (v *VersionStatus) Drained() bool {
	return v.Open == 0 && (v.State == VersionDrained || v.State == VersionInactive)
}

// lookEvery is the pause between two looks at what an operator waits for.
const lookEvery = 500 * time.Millisecond

// SetCurrent sends new checkouts to a version; with an empty build id to workers without versioning. Until ctx ends it waits
// for a version whose workers do not poll yet.
func (d *Deployment) SetCurrent(ctx context.Context, build string) error {
	return d.insist(ctx, func(ctx context.Context) error {
		_, err := d.handle().SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{BuildID: build})
		return err
	}, fmt.Sprintf("make version %q current", build))
}

// Ramp sends a share of new checkouts to a version.
func (d *Deployment) Ramp(ctx context.Context, build string, percent float32) error {
	return d.insist(ctx, func(ctx context.Context) error {
		_, err := d.handle().SetRampingVersion(ctx, client.WorkerDeploymentSetRampingVersionOptions{BuildID: build, Percentage: percent})
		return err
	}, fmt.Sprintf("give version %q %v %% of new checkouts", build, percent))
}

// insist tries at least once, and again until ctx ends where waiting helps: the version is not there yet, its workers poll
// not all queues yet, or Temporal is busy with it.
func (d *Deployment) insist(ctx context.Context, try func(context.Context) error, what string) error {
	for {
		err := try(ctx)
		var missing *serviceerror.NotFound
		var early *serviceerror.FailedPrecondition
		var busy *serviceerror.ResourceExhausted
		var away *serviceerror.Unavailable
		helps := errors.As(err, &missing) || errors.As(err, &early) || errors.As(err, &busy) || errors.As(err, &away)
		if err == nil {
			return nil
		}
		if !helps || pace.Pause(ctx, lookEvery) != nil {
			return fmt.Errorf("%s (worker deployment %q): %w", what, d.name, err)
		}
	}
}

// AwaitDrained waits until a version is drained, and returns its last status either way.
func (d *Deployment) AwaitDrained(ctx context.Context, build string) (last VersionStatus, err error) {
	for {
		v, err := d.Version(context.WithoutCancel(ctx), build)
		if err != nil || v.Drained() || pace.Pause(ctx, lookEvery) != nil {
			return v, err
		}
	}
}

// takeOverPage is how many workflows are listed at a time.
const takeOverPage = 500

// TakeOver moves what is open on a version to the current one: for a version whose nodes are gone and do not come back. It
// returns how many it moved. It may run again.
func (d *Deployment) TakeOver(ctx context.Context, build string) (moved int, err error) {
	var next []byte
	for {
		page, err := d.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: d.namespace, Query: d.open(build), PageSize: takeOverPage, NextPageToken: next,
		})
		if err != nil {
			return moved, fmt.Errorf("list what is open on version %s: %w", build, err)
		}
		for _, w := range page.GetExecutions() {
			_, err := d.client.UpdateWorkflowExecutionOptions(ctx, client.UpdateWorkflowExecutionOptionsRequest{
				WorkflowId: w.GetExecution().GetWorkflowId(), RunId: w.GetExecution().GetRunId(),
				WorkflowExecutionOptionsChanges: client.WorkflowExecutionOptionsChanges{
					VersioningOverride: &client.VersioningOverrideChange{Value: &client.AutoUpgradeVersioningOverride{}},
				},
			})
			if ended := (*serviceerror.NotFound)(nil); errors.As(err, &ended) {
				continue // it has ended meanwhile
			}
			if err != nil {
				return moved, fmt.Errorf("move workflow %s off version %s: %w", w.GetExecution().GetWorkflowId(), build, err)
			}
			moved++
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return moved, nil
		}
	}
}
