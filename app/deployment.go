package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"

	"go.temporal.io/api/serviceerror"

	"boxoffice/cells"
	"boxoffice/pace"
	"boxoffice/worker"
)

const deploymentUsage = `usage: boxoffice deployment COMMAND [flags], with TEMPORAL_DEPLOYMENT_NAME set

  show                  the versions, which one new checkouts go to, and what is open on each
  set-current [BUILD]   send new checkouts to a version; without BUILD to that of this program
  ramp BUILD PERCENT    send a share of them to a version; 0 ends it
  drained BUILD         exit 0 if nothing is open on a version, so that its nodes may stop; else 1
  take-over BUILD       move what is open on a version to the current one: its nodes are gone

  --unversioned   set-current: send new checkouts to nodes without a version
  --take-over-others
                  set-current: then move what is open on every other version too, for where
                  nodes are replaced and none is kept to end its checkouts
  --keep BUILDS   with it: but not on these, separated by commas: their nodes stay
  --wait D        how long set-current and ramp wait for the version's nodes (10s by default), and
                  drained until it is drained (0s by default)
  --json          show: as JSON, an object for each cell
  --cell NAME     only in this cell of TEMPORAL_CELLS, or in the one called default: each has its
                  own current version. Without it, in all cells

docs/upgrade.md has the steps of an upgrade.
`

// deploymentWaitDefault is enough for a node that is up: Temporal hears of a version with the first poll.
const deploymentWaitDefault = 10 * time.Second

// versions is worker.Deployment as far as the command needs it.
type versions interface {
	Status(ctx context.Context) (worker.DeploymentStatus, error)
	SetCurrent(ctx context.Context, build string) error
	Ramp(ctx context.Context, build string, percent float32) error
	AwaitDrained(ctx context.Context, build string) (worker.VersionStatus, error)
	TakeOver(ctx context.Context, build string) (int, error)
}

// deploymentCall is what the command line says.
type deploymentCall struct {
	args        []string
	cell        string // whose turn it is, where there are several
	own         string // this program's build
	unversioned bool
	json        bool
	others      bool // take over what is open on other versions
	keep        string
	settle      time.Duration // until no node starts checkouts on a version that is not current any more
	wait        time.Duration // negative: not said
	out         io.Writer
}

// deployment shows and changes which version new checkouts go to, in each cell.
func deployment(ctx context.Context, args []string) error {
	flags := newFlags("deployment")
	call := deploymentCall{out: os.Stdout, settle: worker.RoutingKnown}
	flags.BoolVar(&call.others, "take-over-others", false, "")
	flags.StringVar(&call.keep, "keep", "", "")
	flags.BoolVar(&call.unversioned, "unversioned", false, "")
	flags.BoolVar(&call.json, "json", false, "")
	flags.DurationVar(&call.wait, "wait", -1, "")
	cellName := flags.String("cell", "", "")
	flags.Usage = func() { fmt.Fprint(flags.Output(), deploymentUsage) }
	for rest := args; ; rest = flags.Args()[1:] { // flags may stand anywhere
		if err := parseWithArguments(flags, rest); err != nil {
			return err
		}
		if flags.NArg() == 0 {
			break
		}
		call.args = append(call.args, flags.Arg(0))
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	if err := c.forTemporal(); err != nil {
		return err
	}
	if c.Version.IsZero() {
		return usageError{"TEMPORAL_DEPLOYMENT_NAME is not set: versioning is off here (docs/upgrade.md)"}
	}
	call.own = c.Version.BuildID
	chosen := c.Cells.Cells()
	if *cellName != "" {
		cell, ok := c.Cells.Find(*cellName)
		if !ok {
			return usageError{fmt.Sprintf("--cell %q is not in TEMPORAL_CELLS", *cellName)}
		}
		chosen = []cells.Cell{cell}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	open := func(ctx context.Context, cell cells.Cell) (versions, func(), error) {
		there := c.in(cell)
		temporal, err := there.dialTemporal(ctx, log)
		if err != nil {
			return nil, nil, err
		}
		return worker.NewDeployment(temporal, there.TemporalNamespace, c.Version.Deployment), temporal.Close, nil
	}
	return call.runIn(ctx, chosen, open, func() error {
		store, err := openStore(ctx)
		if err != nil {
			return err
		}
		defer store.Close()
		return recordCommand(ctx, store, "deployment", args...)
	})
}

// openVersions connects to a cell.
type openVersions func(context.Context, cells.Cell) (versions, func(), error)

// runIn does one command in each cell, in all at once: one that is away, or waits for its nodes, delays no other. Nodes serve
// all cells, so a version that is drained in one only is not drained.
func (c deploymentCall) runIn(ctx context.Context, chosen []cells.Cell, open openVersions, record func() error) error {
	if len(chosen) == 1 {
		return c.runInOne(ctx, chosen[0], open, record)
	}
	record = sync.OnceValue(record)
	said, failures := make([]bytes.Buffer, len(chosen)), make([]error, len(chosen))
	var running sync.WaitGroup
	for i, cell := range chosen {
		part := c
		part.cell, part.out = cell.Label(), &said[i]
		running.Go(func() { failures[i] = part.runInOne(ctx, cell, open, record) })
	}
	running.Wait()
	if wrong := (usageError{}); errors.As(failures[0], &wrong) {
		return wrong // of the command line, so it is wrong everywhere
	}
	c.forgetNeverThere(chosen, failures)
	var failed error
	for i, cell := range chosen {
		if !c.json && said[i].Len() > 0 {
			fmt.Fprintf(c.out, "cell %s:\n", cell.Label())
		}
		if _, err := said[i].WriteTo(c.out); err != nil {
			return err
		}
		if failures[i] != nil {
			failed = errors.Join(failed, fmt.Errorf("cell %s: %w", cell.Label(), failures[i]))
		}
	}
	return failed
}

// forgetNeverThere: nothing is open on a version in a cell that never had it. In none of them, it is a misspelled one.
func (c deploymentCall) forgetNeverThere(chosen []cells.Cell, failures []error) {
	if argument(c.args, 0) != "drained" {
		return
	}
	var never []int
	for i, err := range failures {
		if missing := (*serviceerror.NotFound)(nil); errors.As(err, &missing) {
			never = append(never, i)
		}
	}
	if len(never) == len(failures) {
		return
	}
	for _, i := range never {
		failures[i] = nil
		fmt.Fprintf(c.out, "cell %s never had %s\n", chosen[i].Label(), named(argument(c.args, 1)))
	}
}

func (c deploymentCall) runInOne(ctx context.Context, cell cells.Cell, open openVersions, record func() error) error {
	of, done, err := open(ctx, cell)
	if err != nil {
		return err
	}
	defer done()
	return c.run(ctx, of, record)
}

// run does one command. What changes something is kept on record first.
func (c deploymentCall) run(ctx context.Context, of versions, record func() error) error {
	command, build := argument(c.args, 0), argument(c.args, 1)
	switch {
	case command == "show" && len(c.args) == 1:
		status, err := of.Status(ctx)
		if err != nil {
			return err
		}
		return c.print(&status)
	case command == "set-current" && len(c.args) <= 2 && !(c.unversioned && build != ""):
		if build == "" && !c.unversioned {
			build = c.own
		}
		if err := record(); err != nil {
			return err
		}
		waiting, stop := c.waiting(ctx)
		defer stop()
		if err := of.SetCurrent(waiting, build); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "new checkouts go to %s\n", named(build))
		if c.others {
			return c.takeOverOthers(ctx, of, build)
		}
		return nil
	case command == "ramp" && len(c.args) == 3:
		percent, err := strconv.ParseFloat(c.args[2], 32)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return usageError{"PERCENT must be 0 to 100"}
		}
		if err := record(); err != nil {
			return err
		}
		waiting, stop := c.waiting(ctx)
		defer stop()
		if err := of.Ramp(waiting, build, float32(percent)); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%v %% of new checkouts go to %s\n", percent, named(build))
		return nil
	case command == "drained" && len(c.args) == 2:
		waiting, stop := context.WithTimeout(ctx, max(c.wait, 0))
		defer stop()
		v, err := of.AwaitDrained(waiting, build)
		if err != nil {
			return err
		}
		if !v.Drained() {
			return fmt.Errorf("%s is %s and has %d open checkouts: keep its nodes", named(build), v.State, v.Open)
		}
		fmt.Fprintf(c.out, "%s is %s: its nodes may stop\n", named(build), v.State)
		return nil
	case command == "take-over" && len(c.args) == 2:
		if err := record(); err != nil {
			return err
		}
		moved, err := of.TakeOver(ctx, build)
		fmt.Fprintf(c.out, "%d workflows of %s go on on the current version\n", moved, named(build))
		return err
	default:
		return usageError{"want show, set-current, ramp, drained or take-over; boxoffice deployment --help says what they take"}
	}
}

// takeOverOthers is for where nodes of other versions are gone, or about to go.
func (c deploymentCall) takeOverOthers(ctx context.Context, of versions, current string) error {
	if err := pace.Pause(ctx, c.settle); err != nil {
		return err
	}
	waiting, stop := c.waiting(ctx)
	defer stop()
	for { // Temporal has just been told to route anew, and may be slow to answer
		err := c.takeOverOnce(ctx, of, current)
		if err == nil || pace.Pause(waiting, waitBackoff) != nil {
			return err
		}
	}
}

func (c deploymentCall) takeOverOnce(ctx context.Context, of versions, current string) error {
	status, err := of.Status(ctx)
	if err != nil {
		return err
	}
	stay := append(readList(c.keep), current)
	for _, v := range status.Versions {
		if v.Open == 0 || slices.Contains(stay, v.BuildID) {
			continue
		}
		moved, err := of.TakeOver(ctx, v.BuildID)
		fmt.Fprintf(c.out, "%d workflows of %s go on on the current version\n", moved, named(v.BuildID))
		if err != nil {
			return err
		}
	}
	return nil
}

func (c deploymentCall) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.wait < 0 {
		c.wait = deploymentWaitDefault
	}
	return context.WithTimeout(ctx, c.wait)
}

func named(build string) string {
	if build == "" {
		return "nodes without a version"
	}
	return "version " + build
}

func (c deploymentCall) print(status *worker.DeploymentStatus) error {
	if c.json {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(struct {
			Cell string `json:"cell,omitempty"`
			*worker.DeploymentStatus
		}{c.cell, status})
	}
	fmt.Fprintf(c.out, "%s: new checkouts go to %s\n", status.Deployment, named(status.Current))
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tSTATE\tOPEN\tSINCE")
	for _, v := range status.Versions {
		state := string(v.State)
		if v.State == worker.VersionRamping {
			state += fmt.Sprintf(" %v %%", v.Percent)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", v.BuildID, state, v.Open, v.Since.UTC().Format(time.RFC3339))
	}
	return table.Flush()
}
