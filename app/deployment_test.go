package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/worker"
)

type fakeVersions struct {
	did   []string
	open  int64
	fails int // so many looks fail
}

func (f *fakeVersions) Status(context.Context) (worker.DeploymentStatus, error) {
	if f.fails > 0 {
		f.fails--
		return worker.DeploymentStatus{}, errors.New("Temporal is slow")
	}
	return worker.DeploymentStatus{Deployment: "boxoffice", Current: "2", Versions: []worker.VersionStatus{
		{BuildID: "3", State: worker.VersionRamping, Percent: 10, Open: 1, Since: time.Unix(60, 0)},
		{BuildID: "2", State: worker.VersionCurrent, Open: 7, Since: time.Unix(0, 0)},
	}}, nil
}

func (f *fakeVersions) SetCurrent(_ context.Context, build string) error {
	f.did = append(f.did, "current "+build)
	return nil
}

func (f *fakeVersions) Ramp(_ context.Context, build string, percent float32) error {
	f.did = append(f.did, fmt.Sprintf("ramp %s %v", build, percent))
	return nil
}

func (f *fakeVersions) AwaitDrained(context.Context, string) (worker.VersionStatus, error) {
	return worker.VersionStatus{BuildID: "1", State: worker.VersionDrained, Open: f.open}, nil
}

func (f *fakeVersions) TakeOver(_ context.Context, build string) (int, error) {
	f.did = append(f.did, "take over "+build)
	return 3, nil
}

func TestDeploymentCommands(t *testing.T) {
	usage := usageError{}
	for _, tt := range []struct {
		args        string
		unversioned bool
		others      bool
		keep        string
		open        int64
		did         []string
		says        string
		fails       any // what errors.As finds; nil: it does not fail
	}{
		{args: "show", says: "boxoffice: new checkouts go to version 2\nVERSION  STATE         OPEN  SINCE\n3        ramping 10 %  1     1970-01-01T00:01:00Z"},
		{args: "set-current", did: []string{"recorded", "current own"}, says: "new checkouts go to version own"},
		{args: "set-current 2", did: []string{"recorded", "current 2"}, says: "new checkouts go to version 2"},
		{args: "set-current", unversioned: true, did: []string{"recorded", "current "}, says: "new checkouts go to nodes without a version"},
		{args: "set-current 2", unversioned: true, fails: &usage},
		{args: "set-current 2", others: true, did: []string{"recorded", "current 2", "take over 3"}, says: "new checkouts go to version 2\n3 workflows of version 3"},
		{args: "set-current 2", others: true, keep: "1,3", did: []string{"recorded", "current 2"}, says: "new checkouts go to version 2"},
		{args: "ramp 3 12.5", did: []string{"recorded", "ramp 3 12.5"}, says: "12.5 % of new checkouts go to version 3"},
		{args: "ramp 3 101", fails: &usage},
		{args: "ramp 3 NaN", fails: &usage},
		{args: "ramp 3", fails: &usage},
		{args: "drained 1", says: "version 1 is drained: its nodes may stop"},
		{args: "drained 1", open: 2, fails: new(error)},
		{args: "take-over 1", did: []string{"recorded", "take over 1"}, says: "3 workflows of version 1"},
		{args: "", fails: &usage},
		{args: "drop 1", fails: &usage},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var out bytes.Buffer
			fake := &fakeVersions{open: tt.open}
			call := deploymentCall{args: strings.Fields(tt.args), own: "own", unversioned: tt.unversioned, others: tt.others, keep: tt.keep, wait: -1, out: &out}
			err := call.run(t.Context(), fake, func() error {
				fake.did = append(fake.did, "recorded")
				return nil
			})
			if (err != nil) != (tt.fails != nil) || err != nil && !errors.As(err, tt.fails) {
				t.Fatalf("it ended with %v, want %T", err, tt.fails)
			}
			if !slices.Equal(fake.did, tt.did) {
				t.Errorf("it did %q, want %q", fake.did, tt.did)
			}
			if !strings.HasPrefix(out.String(), tt.says) {
				t.Errorf("it says %q, want %q", out.String(), tt.says)
			}
		})
	}
}

// A look that fails while Temporal routes anew is repeated: what is open elsewhere would wait for nobody.
func TestTakingOverIsTriedAgain(t *testing.T) {
	fake := &fakeVersions{fails: 2}
	call := deploymentCall{args: []string{"set-current", "2"}, others: true, wait: time.Minute, out: new(bytes.Buffer)}
	if err := call.run(t.Context(), fake, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"current 2", "take over 3"}; !slices.Equal(fake.did, want) {
		t.Errorf("it did %q, want %q", fake.did, want)
	}
}

// What cannot be recorded is not done.
func TestADeploymentIsNotChangedWithoutARecord(t *testing.T) {
	for _, args := range []string{"set-current", "ramp 3 10", "take-over 1"} {
		fake := &fakeVersions{}
		away := errors.New("the database is away")
		err := deploymentCall{args: strings.Fields(args), out: new(bytes.Buffer)}.run(t.Context(), fake, func() error { return away })
		if !errors.Is(err, away) || len(fake.did) > 0 {
			t.Errorf("%s: %v, and it did %q", args, err, fake.did)
		}
	}
}

func TestTheVersionIsRead(t *testing.T) {
	for _, tt := range []struct {
		deployment, build string
		want              worker.Version
		fails             bool
	}{
		{"", "", worker.Version{}, false},
		{"", "1.4.0", worker.Version{}, false}, // off
		{"boxoffice", "1.4.0", worker.Version{Deployment: "boxoffice", BuildID: "1.4.0"}, false},
		{"box office", "1.4.0", worker.Version{}, true},
		{"boxoffice", "1 4", worker.Version{}, true},
		{"boxoffice", "", worker.Version{}, true}, // a test has no commit
	} {
		t.Setenv("TEMPORAL_DEPLOYMENT_NAME", tt.deployment)
		t.Setenv("TEMPORAL_WORKER_BUILD_ID", tt.build)
		got, err := readVersion()
		if (err != nil) != tt.fails || !tt.fails && got != tt.want {
			t.Errorf("%q %q: %+v, %v", tt.deployment, tt.build, got, err)
		}
	}
}
