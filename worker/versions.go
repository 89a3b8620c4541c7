package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"

	"boxoffice/workflows"
)

// A Version names the release of the code that a worker runs, for Temporal's Worker Versioning: checkouts stay on the
// version that began them, and everything else goes to the current one. The zero Version is a worker without versioning.
type Version struct {
	Deployment string
	BuildID    string
}

// IsZero reports whether versioning is off.
func (v Version) IsZero() bool { return v == Version{} }

func (v Version) String() string { return v.Deployment + ":" + v.BuildID }

// Temporal joins both with a colon, and reserves more.
var (
	deploymentName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)
	buildID        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$`)
)

// Check reports what is wrong with a version that is not zero.
func (v Version) Check() error {
	if !deploymentName.MatchString(v.Deployment) {
		return fmt.Errorf("the deployment name %q: want 1 to 100 letters, digits, - and _", v.Deployment)
	}
	if !buildID.MatchString(v.BuildID) {
		return fmt.Errorf("the build id %q: want 1 to 100 letters, digits and . _ + -", v.BuildID)
	}
	return nil
}

// Options are what a worker of this version tells Temporal.
func (v Version) Options() sdkworker.DeploymentOptions {
	if v.IsZero() {
		return sdkworker.DeploymentOptions{} // not even the name: the SDK would send behaviors, which the server refuses
	}
	return sdkworker.DeploymentOptions{UseVersioning: true, Version: v.sdk()}
}

func (v Version) sdk() sdkworker.WorkerDeploymentVersion {
	return sdkworker.WorkerDeploymentVersion{DeploymentName: v.Deployment, BuildID: v.BuildID}
}

// WithVersion makes a worker one of this version.
func WithVersion(v Version) Option {
	return func(o *sdkworker.Options) { o.DeploymentOptions = v.Options() }
}

// How often a node looks where new checkouts go, and how long one look may take.
const (
	routingEvery   = 2 * time.Second
	routingTimeout = 2 * time.Second
	// Nothing depends on how soon a node without a version knows.
	routingEveryUnversioned = 30 * time.Second
	// RoutingKnown is when every node that Temporal answers knows of a change.
	RoutingKnown = 2 * (routingEvery + routingTimeout)
)

// Routing knows which version Temporal gives new checkouts to. A start that brings back its first task with its own answer
// runs in the process that started it, whatever its version. So only a node of the version that new checkouts go to may
// start them so.
type Routing struct {
	client  client.Client
	version Version
	log     *slog.Logger

	here atomic.Bool
	mu   sync.Mutex
	told string
	err  error
}

// WatchRouting looks until stop is called. In a namespace whose deployment never had a current version, the first node
// makes its own the current one: who turns versioning on need not do anything else. Later ones wait to be told.
func WatchRouting(c client.Client, v Version, log *slog.Logger) (r *Routing, stop func()) {
	r = newRouting(c, v, log)
	every := routingEvery
	if v.IsZero() {
		every = routingEveryUnversioned
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			r.look(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return r, func() { cancel(); <-ended }
}

func newRouting(c client.Client, v Version, log *slog.Logger) *Routing {
	r := &Routing{client: c, version: v, log: log}
	r.here.Store(v.IsZero())
	return r
}

// StartsHere reports whether a checkout that this node starts may run in this node at once.
func (r *Routing) StartsHere() bool { return r.here.Load() }

// Check returns what keeps this node's workers without work, for /readyz.
func (r *Routing) Check(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *Routing) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, routingTimeout)
	defer cancel()
	if r.version.IsZero() {
		r.lookUnversioned(ctx)
		return
	}
	deployment := r.client.WorkerDeploymentClient().GetHandle(r.version.Deployment)
	found, err := deployment.Describe(ctx, client.WorkerDeploymentDescribeOptions{})
	if err != nil {
		// Nothing is known to have changed. At the start, Temporal knows the deployment once a worker polls.
		if missing := (*serviceerror.NotFound)(nil); !errors.As(err, &missing) {
			r.tell(unknownVersion, nil, "error", err)
		}
		return
	}
	routing := found.Info.RoutingConfig
	if neverRouted(routing) {
		_, err := deployment.SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{
			BuildID: r.version.BuildID, ConflictToken: found.ConflictToken,
		})
		if err != nil {
			r.tell("none yet: this will be the first", nil, "why", err)
		}
		return // the next look says what holds
	}
	r.here.Store(startsHere(r.version, routing))
	if routing.CurrentVersion == nil {
		r.tell(unversionedWorkers, fmt.Errorf("new checkouts go to workers without a version: "+
			"boxoffice deployment set-current %s, or stop this node once it is drained", r.version.BuildID))
		return
	}
	r.tell(routing.CurrentVersion.BuildID, nil)
}

// neverRouted reports whether nobody ever said where new checkouts go. Nobody means workers without a version, and so does
// an operator who went back to them; the time tells which.
func neverRouted(c client.WorkerDeploymentRoutingConfig) bool {
	return c.CurrentVersion == nil && c.CurrentVersionChangedTime.Unix() <= 0 && c.RampingVersion == nil && c.RampingVersionPercentage == 0
}

// startsHere: while a second version gets a share, Temporal decides about each checkout.
func startsHere(v Version, c client.WorkerDeploymentRoutingConfig) bool {
	return c.CurrentVersion != nil && c.CurrentVersion.BuildID == v.BuildID && c.RampingVersionPercentage == 0
}

// lookUnversioned finds out whether Temporal gives tasks to versions only.
func (r *Routing) lookUnversioned(ctx context.Context) {
	found, err := r.client.DescribeTaskQueue(ctx, workflows.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return // the probe of Temporal itself tells
	}
	current := found.GetVersioningInfo().GetCurrentDeploymentVersion()
	if current == nil {
		r.tell(unversionedWorkers, nil)
		return
	}
	name := Version{current.GetDeploymentName(), current.GetBuildId()}
	r.tell(name.String(), fmt.Errorf("this node has no version, and tasks go to the version %s: "+
		"set TEMPORAL_DEPLOYMENT_NAME here, or boxoffice deployment set-current --unversioned", name))
}

const (
	unversionedWorkers = "workers without a version"
	unknownVersion     = "unknown"
)

// tell logs where new checkouts go when that changes.
func (r *Routing) tell(current string, problem error, more ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told != current && (!r.version.IsZero() || problem != nil) {
		r.log.Info("new checkouts go to", append([]any{"version", current, "own", r.version.String(), "starts_here", r.here.Load()}, more...)...)
	}
	r.told, r.err = current, problem
}
