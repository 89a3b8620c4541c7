package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"

	"boxoffice/cells"
	"boxoffice/worker"
)

type fakeVersions struct {
	did   []string
	open  int64
	fails int // so many looks fail
	// missing is how Temporal answers about a version that it does not know.
	missing error
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
	if f.missing != nil {
		return f.missing
	}
	f.did = append(f.did, fmt.Sprintf("ramp %s %v", build, percent))
	return nil
}

func (f *fakeVersions) AwaitDrained(context.Context, string) (worker.VersionStatus, error) {
	return worker.VersionStatus{BuildID: "1", State: worker.VersionDrained, Open: f.open}, f.missing
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

// With several cells a command means all of them, unless it names one: nodes serve all.
func TestDeploymentCommandsInSeveralCells(t *testing.T) {
	rule, err := cells.Parse("b=other", "", cells.Cell{Address: "temporal:7233", Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	never := fmt.Errorf("describe version 1: %w", serviceerror.NewNotFound("no such version"))
	away := errors.New("no Temporal server answers")
	usage := usageError{}
	for name, tt := range map[string]struct {
		args      string
		json      bool
		only      int // so many cells are chosen; 0: both
		one, two  fakeVersions
		twoIsAway bool
		did       [2][]string
		says      string
		fails     any    // what errors.As finds; nil: it does not fail
		because   string // that the error says
	}{
		"current everywhere": {
			args: "set-current", did: [2][]string{{"current own"}, {"current own"}},
			says: "recorded\ncell default:\nnew checkouts go to version own\ncell b:\nnew checkouts go to version own\n",
		},
		"current in one": {args: "set-current", only: 1, did: [2][]string{{"current own"}, nil}, says: "recorded\nnew checkouts go to version own\n"},
		"a cell that is away stops no other": {
			args: "set-current 2", twoIsAway: true, did: [2][]string{{"current 2"}, nil},
			says: "recorded\ncell default:\nnew checkouts go to version 2\n", fails: new(error), because: "cell b: no Temporal server answers",
		},
		"drained everywhere": {args: "drained 1", says: "cell default:\nversion 1 is drained: its nodes may stop\ncell b:\nversion 1 is drained: its nodes may stop\n"},
		"drained in one": {
			args: "drained 1", two: fakeVersions{open: 2}, says: "cell default:\nversion 1 is drained: its nodes may stop\n",
			fails: new(error), because: "cell b: version 1 is drained and has 2 open checkouts: keep its nodes",
		},
		"drained, as far as can be seen": {
			args: "drained 1", twoIsAway: true, says: "cell default:\nversion 1 is drained: its nodes may stop\n", fails: new(error), because: "cell b: no Temporal",
		},
		"drained, and a cell never had it": {
			args: "drained 1", two: fakeVersions{missing: never}, says: "cell b never had version 1\ncell default:\nversion 1 is drained: its nodes may stop\n",
		},
		"no cell ever had it":             {args: "drained 1", one: fakeVersions{missing: never}, two: fakeVersions{missing: never}, fails: new(error), because: "cell b: describe version 1"},
		"only drained forgives a version": {args: "ramp 1 10", two: fakeVersions{missing: never}, says: "recorded\ncell default:\n10 % of new checkouts go to version 1\n", did: [2][]string{{"ramp 1 10"}, nil}, fails: new(error), because: "cell b: describe"},
		"shown as JSON":                   {args: "show", json: true, says: "{\n  \"cell\": \"default\",\n  \"deployment\": \"boxoffice\",\n  \"current\": \"2\","},
		"a mistake is told once":          {args: "drop 1", fails: &usage, because: "want show"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			fakes := map[string]*fakeVersions{"default": &tt.one, "b": &tt.two}
			open := func(_ context.Context, cell cells.Cell) (versions, func(), error) {
				if cell.Name == "b" && tt.twoIsAway {
					return nil, nil, away
				}
				return fakes[cell.Label()], func() {}, nil
			}
			chosen := rule.Cells()
			if tt.only > 0 {
				chosen = chosen[:tt.only]
			}
			call := deploymentCall{args: strings.Fields(tt.args), own: "own", json: tt.json, wait: -1, out: &out}
			err := call.runIn(t.Context(), chosen, open, func() error {
				out.WriteString("recorded\n")
				return nil
			})
			if (err != nil) != (tt.fails != nil) || err != nil && (!errors.As(err, tt.fails) || strings.Count(err.Error(), tt.because) != 1) {
				t.Fatalf("it ended with %v, want %T that says %q once", err, tt.fails, tt.because)
			}
			if got := [2][]string{tt.one.did, tt.two.did}; !reflect.DeepEqual(got, tt.did) {
				t.Errorf("it did %q, want %q", got, tt.did)
			}
			if !strings.HasPrefix(out.String(), tt.says) || !tt.json && out.String() != tt.says {
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
