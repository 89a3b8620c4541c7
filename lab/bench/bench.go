package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/probe"
	"boxoffice/lab/bench/report"
	"boxoffice/ledger"
)

// Run measures. The result is valid where the error is nil or wraps ErrFound: a
// phase that failed after others were measured, or an audit with a broken
// invariant.
func Run(ctx context.Context, o Options) (report.Result, error) {
	if err := o.Validate(); err != nil {
		return report.Result{}, err
	}
	b := newBench(o)
	if err := b.caller.openSale(ctx, b.sale); err != nil {
		return report.Result{}, b.noStack(err)
	}
	if err := b.describe(ctx); err != nil {
		return report.Result{}, err
	}
	b.openPostgres(ctx)
	defer b.closePostgres()
	if err := b.checkNodes(); err != nil {
		return report.Result{}, err
	}
	return b.conclude(ctx, b.measure(ctx))
}

func newBench(o Options) *bench {
	b := &bench{Options: o, caller: newCaller(o), sale: fmt.Sprintf("bench-%s", time.Now().UTC().Format("20060102-150405"))}
	b.progress = progress{out: o.Out, isTerminal: o.IsTerminal}
	b.leaves = fmt.Sprintf("what sale %s holds unpaid comes free within %v", b.sale, holdTimeout)
	return b
}

// noStack says what to do when the very first request fails.
func (b *bench) noStack(err error) error {
	next := "is the stack running? use `make run`, or `make bench`, which starts its own"
	if refusal := (*load.Failure)(nil); errors.As(err, &refusal) {
		next = "are the addresses and secrets those of the running stack? set -a; . .data/dev.env"
	}
	return fmt.Errorf("open sale %s at %s: %w (%s)", b.sale, b.AdminURL, err, next)
}

type bench struct {
	Options
	caller   *caller
	sale     string
	progress progress

	unpaid heldOrders
	recent ring
	paid   atomic.Int64

	nodes    []*Node // beside the stack's own
	pids     map[string]int
	postgres *probe.Postgres // nil: not available
	notes    []string
	leaves   string // what an interrupted bench leaves behind, for people
	result   report.Result
}

// note adds a note for the reader, once.
func (b *bench) note(text string) {
	if !slices.Contains(b.notes, text) {
		b.notes = append(b.notes, text)
	}
}

// describe records where and on what the bench runs. Anything missing becomes a note: a
// bench without a local stack still measures rates.
func (b *bench) describe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	b.result = report.Result{
		Format: report.Format, StartedAt: time.Now().UTC(), Commit: b.Commit, Machine: probe.ReadMachine(b.DataDir),
		Versions: map[string]string{"go": runtime.Version(), "tigerbeetle client": ledger.ClientRelease},
		Settings: report.Settings{
			Phases: b.Phases, Runs: b.Runs, WarmupSeconds: b.Warmup.Seconds(), DurationSeconds: b.Duration.Seconds(),
			Arrivals: "poisson", Seed: b.Seed, Payment: "signed webhook", Service: b.URL,
		},
	}
	if b.Even {
		b.result.Settings.Arrivals = "even"
	}
	if b.ViaMockPay {
		b.result.Settings.Payment = "MockPay"
	}
	metrics, err := b.scrape(ctx)
	if err != nil {
		return err
	}
	if kinds := metrics.Values("boxoffice_info", "ledger"); len(kinds) == 1 {
		b.result.Ledger = kinds[0]
	}
	if variants := metrics.Values("boxoffice_bench_variant", "variant"); len(variants) == 1 {
		b.result.Variant = variants[0]
	}
	b.findProcesses()
	if version, err := probe.TemporalVersion(ctx, b.Temporal); err == nil {
		b.result.Versions["temporal"] = version
	}
	return nil
}

func (b *bench) openPostgres(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var err error
	if b.postgres, err = probe.OpenPostgres(ctx, b.DatabaseURL); err != nil {
		b.note("Postgres's counters: not available: " + err.Error())
		return
	}
	b.result.Versions["postgres"] = b.postgres.Version
}

func (b *bench) closePostgres() {
	if b.postgres != nil {
		_ = b.postgres.Close(context.Background()) // it only read
	}
	b.postgres = nil
}

func (b *bench) findProcesses() {
	b.pids = map[string]int{probe.Generator: os.Getpid()}
	stack, err := probe.ReadStack(b.DataDir, b.URL)
	if err != nil {
		b.note("CPU and memory of the generator only: " + err.Error())
		return
	}
	maps.Copy(b.pids, stack.PIDs())
}

// scrape sums the nodes up: all of them, or none.
func (b *bench) scrape(ctx context.Context) (probe.Metrics, error) {
	sum, err := probe.ScrapeMetrics(ctx, b.caller.http, b.AdminURL+"/metrics", b.AdminToken)
	if err != nil {
		return sum, err
	}
	for _, node := range b.nodes {
		more, err := probe.ScrapeMetrics(ctx, b.caller.http, node.AdminURL+"/metrics", b.AdminToken)
		if err != nil {
			return sum, err
		}
		sum = sum.Plus(more)
	}
	return sum, nil
}

// measure runs the phases, and then the long row of orders.
func (b *bench) measure(ctx context.Context) error {
	for _, p := range phases {
		if !slices.Contains(b.Phases, p.name) {
			continue
		}
		run := p.run
		if run == nil {
			run = func(ctx context.Context, b *bench) error { return b.runPhase(ctx, p) }
		}
		if err := run(ctx, b); err != nil {
			return fmt.Errorf("phase %s: %w", p.name, err)
		}
	}
	if b.Orders == 0 {
		return nil
	}
	if err := b.runTenths(ctx); err != nil {
		return fmt.Errorf("%d orders in a row: %w", b.Orders, err)
	}
	return nil
}

func (b *bench) runPhase(ctx context.Context, p phase) error {
	w, err := p.open(ctx, b)
	if err != nil {
		return err
	}
	series := b.closedLoops(p)
	err = b.runRounds(ctx, series, w)
	if err == nil {
		open := b.openLoops(p, series)
		err = b.runRounds(ctx, open, w)
		series = append(series, open...)
	}
	notRun := func(s report.Series) bool { return len(s.Runs) == 0 }
	b.result.Series = append(b.result.Series, slices.DeleteFunc(series, notRun)...)
	if w.close != nil {
		err = errors.Join(err, w.close())
	}
	return errors.Join(err, b.stopNodes(1)) // the following phases run on one node, unless they ask for more
}

func (b *bench) closedLoops(p phase) []report.Series {
	clients := p.loads
	switch {
	case b.OpenOnly:
		clients = nil
	case len(b.Clients) > 0:
		clients = b.Clients
	}
	var series []report.Series
	for _, n := range clients {
		for _, nodes := range b.nodeCounts() {
			series = append(series, report.Series{Phase: p.name, Unit: p.unit, Clients: n, Nodes: nodes})
		}
	}
	return series
}

// openLoops knows what the closed ones reached.
func (b *bench) openLoops(p phase, closed []report.Series) []report.Series {
	rates := p.rates
	if len(b.Rates) > 0 {
		rates = b.Rates
	}
	best := 0.0
	for _, s := range closed {
		best = max(best, s.Over(report.Rate).Median)
	}
	var series []report.Series
	for _, r := range rates {
		s := report.Series{Phase: p.name, Unit: p.unit, RatePerSecond: r.PerSecond, Share: r.Share}
		if r.Share > 0 {
			s.RatePerSecond = r.Share * best
		}
		for _, nodes := range b.nodeCounts() {
			if s.Nodes = nodes; s.RatePerSecond > 0 {
				series = append(series, s)
			}
		}
	}
	return series
}

// runRounds measures every load once, then every load again: a machine that
// slows down or gets other work then shows as spread, and not as a difference
// between loads.
func (b *bench) runRounds(ctx context.Context, series []report.Series, w work) error {
	for round := range b.Runs {
		for i := range series {
			s := &series[i]
			plan := load.Plan{
				Clients: s.Clients, RatePerSecond: s.RatePerSecond, Even: b.Even, Seed: b.Seed + uint64(round),
				Warmup: b.Warmup, Duration: b.Duration,
			}
			if s.Clients > 0 {
				plan.RatePerSecond = 0
			}
			if err := b.useNodes(ctx, s.Nodes); err != nil {
				return err
			}
			title := fmt.Sprintf("%-9s %-18s run %d/%d", s.Phase, s.Load(), round+1, b.Runs)
			run, err := b.run(ctx, title, plan, w)
			if err != nil {
				return err
			}
			s.Runs = append(s.Runs, run)
		}
	}
	return nil
}

// runTenths is the long row: each tenth is a run that ends with its last order.
func (b *bench) runTenths(ctx context.Context) error {
	const tenths = 10
	w, err := openJourney(ctx, b)
	if err != nil {
		return err
	}
	clients := helpers
	if len(b.Clients) > 0 {
		clients = slices.Max(b.Clients)
	}
	row := &report.Series{Phase: "journey", Unit: "paid checkout", Clients: clients}
	for i := range tenths {
		title := fmt.Sprintf("orders    %-18s tenth %d/%d", row.Load(), i+1, tenths)
		run, err := b.run(ctx, title, load.Plan{Clients: clients, Requests: b.Orders / tenths}, w)
		if err != nil {
			return err
		}
		row.Runs = append(row.Runs, run)
		b.result.Tenths = row
	}
	return nil
}

// run is one measurement with its costs.
func (b *bench) run(ctx context.Context, title string, plan load.Plan, w work) (report.Run, error) {
	stop := b.progress.prepare(title)
	if w.prepare != nil {
		if err := w.prepare(ctx, plan); err != nil {
			stop()
			return report.Run{}, err
		}
	}
	stop()
	meter := w.meter
	if meter == nil {
		meter = b.scrape
	}
	var before, after reading
	plan.Begin = func() { b.recent.reset(); before = b.read(ctx, meter) }
	plan.End = func() { after = b.read(ctx, meter) }
	plan.Progress = &load.Progress{}
	stop = b.progress.show(title, plan)
	measured, err := load.Run(ctx, plan, w.step)
	stop()
	switch {
	case err != nil:
		return report.Run{}, err
	case measured.Done == 0: // nor would any of the next: the stack is down, or a different one
		return report.Run{}, fmt.Errorf("%s: no request succeeded: %s", strings.Join(strings.Fields(title), " "), strings.Join(failures(measured), "; "))
	}
	run := report.Run{Measured: measured, Rate: measured.PerSecond()}
	b.addCosts(&run, before, after)
	if w.checkouts {
		run.Workflow = b.sampleWorkflows(ctx)
	}
	b.progress.done(title, run)
	return run, nil
}
