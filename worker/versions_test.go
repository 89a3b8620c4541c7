package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

func TestAVersionIsChecked(t *testing.T) {
	for _, tt := range []struct {
		version Version
		valid   bool
	}{
		{Version{"boxoffice", "1.4.0"}, true},
		{Version{"boxoffice-eu_1", "v1.4.0+dirty-3"}, true},
		{Version{"boxoffice.eu", "1.4.0"}, false}, // Temporal's older separator
		{Version{"boxoffice:eu", "1.4.0"}, false},
		{Version{"", "1.4.0"}, false},
		{Version{"boxoffice", ""}, false},
		{Version{"boxoffice", "unknown: built without version control"}, false},
		{Version{"boxoffice", "1' OR BuildIds = '2"}, false}, // it stands in a query
	} {
		if err := tt.version.Check(); (err == nil) != tt.valid {
			t.Errorf("%q: %v, want valid %v", tt.version, err, tt.valid)
		}
	}
	if o := (Version{}).Options(); o.UseVersioning || o.Version.BuildID != "" || o.Version.DeploymentName != "" {
		t.Errorf("a worker without a version says %+v", o)
	}
	if o := (Version{"a", "b"}).Options(); !o.UseVersioning || o.Version.DeploymentName != "a" || o.Version.BuildID != "b" {
		t.Errorf("a worker with a version says %+v", o)
	}
}

// fakeTemporal has one deployment.
type fakeTemporal struct {
	client.Client
	client.WorkerDeploymentHandle
	routing  client.WorkerDeploymentRoutingConfig
	missing  bool // no worker has polled yet
	setTo    []string
	setFails error
	queue    *deploymentpb.WorkerDeploymentVersion
}

func (f *fakeTemporal) WorkerDeploymentClient() client.WorkerDeploymentClient {
	return fakeDeployments{of: f}
}

type fakeDeployments struct {
	client.WorkerDeploymentClient
	of *fakeTemporal
}

func (f fakeDeployments) GetHandle(string) client.WorkerDeploymentHandle { return f.of }

func (f *fakeTemporal) Describe(context.Context, client.WorkerDeploymentDescribeOptions) (client.WorkerDeploymentDescribeResponse, error) {
	if f.missing {
		return client.WorkerDeploymentDescribeResponse{}, serviceerror.NewNotFound("no such deployment")
	}
	return client.WorkerDeploymentDescribeResponse{Info: client.WorkerDeploymentInfo{RoutingConfig: f.routing}, ConflictToken: []byte("token")}, nil
}

func (f *fakeTemporal) SetCurrentVersion(
	_ context.Context, o client.WorkerDeploymentSetCurrentVersionOptions,
) (client.WorkerDeploymentSetCurrentVersionResponse, error) {
	if string(o.ConflictToken) != "token" {
		return client.WorkerDeploymentSetCurrentVersionResponse{}, errors.New("it would overrule an operator")
	}
	f.setTo = append(f.setTo, o.BuildID)
	if f.setFails == nil {
		own := Version{"boxoffice", o.BuildID}.sdk()
		f.routing.CurrentVersion, f.routing.CurrentVersionChangedTime = &own, time.Unix(1, 0)
	}
	return client.WorkerDeploymentSetCurrentVersionResponse{}, f.setFails
}

func (f *fakeTemporal) DescribeTaskQueue(context.Context, string, enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	return &workflowservice.DescribeTaskQueueResponse{VersioningInfo: &taskqueuepb.TaskQueueVersioningInfo{CurrentDeploymentVersion: f.queue}}, nil
}

// Only a node of the version that new checkouts go to starts them in itself, and only who is first decides which that is.
func TestANodeKnowsWhereCheckoutsGo(t *testing.T) {
	own, other := Version{"boxoffice", "2"}.sdk(), Version{"boxoffice", "1"}.sdk()
	once := time.Unix(1, 0)
	for _, tt := range []struct {
		name    string
		version Version
		fake    fakeTemporal
		looks   int
		here    bool
		ready   bool
		set     int
	}{
		{"nobody polls yet", Version{"boxoffice", "2"}, fakeTemporal{missing: true}, 1, false, true, 0},
		{"the first version ever", Version{"boxoffice", "2"}, fakeTemporal{}, 2, true, true, 1},
		{"the first, too early", Version{"boxoffice", "2"}, fakeTemporal{setFails: errors.New("no pollers")}, 2, false, true, 2},
		{"its own is current", Version{"boxoffice", "2"},
			fakeTemporal{routing: client.WorkerDeploymentRoutingConfig{CurrentVersion: &own, CurrentVersionChangedTime: once}}, 1, true, true, 0},
		{"another is current", Version{"boxoffice", "2"},
			fakeTemporal{routing: client.WorkerDeploymentRoutingConfig{CurrentVersion: &other, CurrentVersionChangedTime: once}}, 1, false, true, 0},
		{"its own is current, and another gets a share", Version{"boxoffice", "2"}, fakeTemporal{routing: client.WorkerDeploymentRoutingConfig{
			CurrentVersion: &own, CurrentVersionChangedTime: once, RampingVersion: &other, RampingVersionPercentage: 10,
		}}, 1, false, true, 0},
		{"an operator went back to nodes without a version", Version{"boxoffice", "2"},
			fakeTemporal{routing: client.WorkerDeploymentRoutingConfig{CurrentVersionChangedTime: once}}, 1, false, false, 0},
		{"the first gets a share before it is current", Version{"boxoffice", "2"},
			fakeTemporal{routing: client.WorkerDeploymentRoutingConfig{RampingVersion: &own, RampingVersionPercentage: 10}}, 1, false, false, 0},
		{"without a version, as ever", Version{}, fakeTemporal{}, 1, true, true, 0},
		{"without a version, and tasks go to one", Version{},
			fakeTemporal{queue: &deploymentpb.WorkerDeploymentVersion{DeploymentName: "boxoffice", BuildId: "1"}}, 1, true, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRouting(&tt.fake, tt.version, slog.New(slog.DiscardHandler))
			for range tt.looks {
				r.look(t.Context())
			}
			if got := r.StartsHere(); got != tt.here {
				t.Errorf("starts checkouts here: %v, want %v", got, tt.here)
			}
			if err := r.Check(t.Context()); (err == nil) != tt.ready {
				t.Errorf("its workers get work: %v, want %v", err, tt.ready)
			}
			if len(tt.fake.setTo) != tt.set {
				t.Errorf("it made %v current, want %d times", tt.fake.setTo, tt.set)
			}
		})
	}
}

// A version's nodes may stop when Temporal says that it is drained and nothing is open. Either may be late.
func TestAVersionIsDrained(t *testing.T) {
	info := func(status client.WorkerDeploymentVersionDrainageStatus) client.WorkerDeploymentVersionInfo {
		return client.WorkerDeploymentVersionInfo{DrainageInfo: &client.WorkerDeploymentVersionDrainageInfo{DrainageStatus: status}}
	}
	now := time.Unix(1, 0)
	for _, tt := range []struct {
		name    string
		info    client.WorkerDeploymentVersionInfo
		open    int64
		state   VersionState
		drained bool
	}{
		{"current", client.WorkerDeploymentVersionInfo{CurrentSinceTime: now}, 0, VersionCurrent, false},
		{"ramping", client.WorkerDeploymentVersionInfo{RampingSinceTime: now}, 0, VersionRamping, false},
		{"draining", info(client.WorkerDeploymentVersionDrainageStatusDraining), 0, VersionDraining, false},
		{"drained", info(client.WorkerDeploymentVersionDrainageStatusDrained), 0, VersionDrained, true},
		{"drained, and a late start", info(client.WorkerDeploymentVersionDrainageStatusDrained), 1, VersionDrained, false},
		{"never current", client.WorkerDeploymentVersionInfo{}, 0, VersionInactive, true},
	} {
		v := VersionStatus{State: stateOf(&tt.info), Open: tt.open}
		if v.State != tt.state || v.Drained() != tt.drained {
			t.Errorf("%s: %s, drained %v; want %s, %v", tt.name, v.State, v.Drained(), tt.state, tt.drained)
		}
	}
}
