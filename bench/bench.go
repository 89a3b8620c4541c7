package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"boxoffice/audit"
	"boxoffice/bench/load"
	"boxoffice/bench/probe"
	"boxoffice/bench/report"
	"boxoffice/ledger"
)

// ErrFound is wrapped by what a bench has found to be wrong; its result is
// complete all the same.
var ErrFound = errors.New("the bench found something wrong")

// Run measures. The result is valid where the error is nil or wraps ErrFound: a
// run in which nothing succeeded, or an audit with a broken invariant.
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
	defer b.closeProbes()
	defer b.stopNodes()
	err := b.measure(ctx)
	if err == nil {
		err = b.verify(ctx)
	}
	if ctx.Err() != nil {
		return report.Result{}, fmt.Errorf("broken off (%w): what sale %s holds unpaid comes free within %v", context.Cause(ctx), b.sale, holdTimeout)
	}
	b.result.TookSeconds = time.Since(b.result.StartedAt).Seconds()
	b.result.Notes = b.notes
	if err == nil {
		err = b.judge()
	}
	return b.result, err
}

func newBench(o Options) *bench {
	b := &bench{Options: o, caller: newCaller(o), sale: fmt.Sprintf("bench-%s", time.Now().UTC().Format("20060102-150405"))}
	b.progress = progress{out: o.Out, isTerminal: o.IsTerminal}
	return b
}

func (b *bench) noStack(err error) error {
	return fmt.Errorf("open sale %s at %s: %w (is the stack running? `make run`)", b.sale, b.AdminURL, err)
}

type bench struct {
	Options
	caller   *caller
	sale     string
	progress progress

	unpaid stack
	recent ring
	paid   atomic.Int64

	nodes    []*Node // beside the stack's own
	pids     map[string]int
	postgres *probe.Postgres // nil: not available
	notes    []string
	result   report.Result
}

// note tells the reader once.
func (b *bench) note(text string) {
	if !slices.Contains(b.notes, text) {
		b.notes = append(b.notes, text)
	}
}

// describe notes where and on what the bench runs, and opens the probes. What is
// missing is noted: a bench without a local stack measures rates all the same.
func (b *bench) describe(ctx context.Context) error {
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
	if b.postgres, err = probe.OpenPostgres(ctx, b.DatabaseURL); err != nil {
		b.note("Postgres's counters: not available: " + err.Error())
		return nil
	}
	b.result.Versions["postgres"] = b.postgres.Version
	if b.postgres.NoStatements != "" {
		b.note("Postgres statements: " + b.postgres.NoStatements)
	}
	return nil
}

// generator is the name of the bench's own process among those of the stack.
const generator = "generator"

func (b *bench) findProcesses() {
	b.pids = map[string]int{generator: os.Getpid()}
	stack, err := probe.ReadStack(b.DataDir, b.URL)
	if err != nil {
		b.note("CPU and memory of the generator only: " + err.Error())
		return
	}
	maps.Copy(b.pids, stack.PIDs())
}

func (b *bench) closeProbes() {
	if b.postgres != nil {
		_ = b.postgres.Close(context.Background())
	}
}

// scrape sums the nodes up.
func (b *bench) scrape(ctx context.Context) (probe.Metrics, error) {
	sum, err := probe.ScrapeMetrics(ctx, b.caller.http, b.AdminURL+"/metrics")
	for _, node := range b.nodes {
		if err != nil {
			break
		}
		var more probe.Metrics
		more, err = probe.ScrapeMetrics(ctx, b.caller.http, node.AdminURL+"/metrics")
		sum = sum.Plus(more)
	}
	return sum, err
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
	b.result.Series = append(b.result.Series, series...)
	if w.close != nil {
		err = errors.Join(err, w.close())
	}
	return err
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
	b.result.Tenths = &report.Series{Phase: "journey", Unit: "paid checkout", Clients: clients}
	for i := range tenths {
		title := fmt.Sprintf("orders    %-18s tenth %d/%d", b.result.Tenths.Load(), i+1, tenths)
		run, err := b.run(ctx, title, load.Plan{Clients: clients, Requests: b.Orders / tenths}, w)
		if err != nil {
			return err
		}
		b.result.Tenths.Runs = append(b.result.Tenths.Runs, run)
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
	if err != nil {
		return report.Run{}, err
	}
	run := report.Run{Measured: measured, Rate: measured.PerSecond()}
	b.addCosts(&run, before, after)
	if w.checkouts {
		run.Workflow = b.sampleWorkflows(ctx)
	}
	b.progress.done(title, run)
	return run, nil
}

// verify pays for what is left and lets the box office audit the bench's sale.
func (b *bench) verify(ctx context.Context) error {
	stop := b.progress.prepare(fmt.Sprintf("paying for %d orders that are held", b.unpaid.len()))
	err := b.finish(ctx)
	stop()
	if err != nil {
		b.note("orders left unpaid: " + err.Error())
	}
	stop = b.progress.prepare("auditing sale " + b.sale)
	defer stop()
	verifier := &audit.Verifier{URL: b.URL, AdminURL: b.AdminURL, Token: b.AdminToken, Sales: []string{b.sale}, Wait: b.AuditTimeout}
	var text strings.Builder
	reports, err := verifier.Verify(ctx, &text)
	if err != nil {
		b.note("the audit was not possible: " + err.Error())
		return ctx.Err()
	}
	b.result.Audit = &report.Audit{
		Sale: b.sale, Paid: b.paid.Load(), Tickets: withTickets(reports[0]), Verdict: string(reports[0].Verdict), Text: text.String(),
	}
	return nil
}

// withTickets counts the orders that have some: the left side of I3.
func withTickets(r audit.Report) int64 {
	i := slices.IndexFunc(r.Results, func(result audit.Result) bool { return result.ID == "I3" })
	if i < 0 {
		return 0
	}
	return r.Results[i].Left.Value
}

func (b *bench) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, finishTimeout)
	defer cancel()
	return b.many(ctx, b.unpaid.len(), func(ctx context.Context) error {
		h, ok := b.unpaid.take()
		if !ok {
			return nil
		}
		err := b.caller.payByWebhook(ctx, h)
		if err == nil {
			b.paid.Add(1)
		}
		return err
	})
}

// judge finds what makes figures worthless.
func (b *bench) judge() error {
	var found []error
	series := slices.Clone(b.result.Series)
	if b.result.Tenths != nil {
		series = append(series, *b.result.Tenths)
	}
	for _, s := range series {
		for _, r := range s.Runs {
			if r.Done == 0 {
				found = append(found, fmt.Errorf("%s with %s: no request succeeded: %v", s.Phase, s.Load(), r.Samples))
			}
		}
	}
	for i := range b.result.Storms {
		found = append(found, b.result.Storms[i].Wrong()...)
	}
	for i := range b.result.Recoveries {
		found = append(found, b.result.Recoveries[i].Wrong()...)
	}
	switch {
	case b.result.Audit == nil:
		found = append(found, errors.New("the sale was not audited: the notes say why"))
	case b.result.Audit.Tickets < b.result.Audit.Paid:
		found = append(found, fmt.Errorf("%d orders were answered to be paid, and only %d have tickets", b.result.Audit.Paid, b.result.Audit.Tickets))
	case b.result.Audit.Verdict == string(audit.Broken):
		found = append(found, fmt.Errorf("the audit says that an invariant is broken:\n%s", b.result.Audit.Text))
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrFound, errors.Join(found...))
}

// progress tells what is going on.
type progress struct {
	out        io.Writer
	isTerminal bool
}

const (
	drawInterval = 250 * time.Millisecond
	eraseLine    = "\r\x1b[K"
)

// prepare shows what is done outside of any measurement.
func (p progress) prepare(what string) (stop func()) {
	if !p.isTerminal {
		return func() {}
	}
	fmt.Fprint(p.out, eraseLine+"  … "+what)
	return func() { fmt.Fprint(p.out, eraseLine) }
}

// show redraws one line while a plan runs.
func (p progress) show(title string, plan load.Plan) (stop func()) {
	started := time.Now()
	return p.watch(func() string {
		elapsed := time.Since(started).Seconds()
		done, failed := plan.Progress.Done.Load(), plan.Progress.Failed.Load()
		of := fmt.Sprintf("%.0f of %.0f s", elapsed, (plan.Warmup + plan.Duration).Seconds())
		if plan.Requests > 0 {
			of = fmt.Sprintf("%d of %d", done+failed, plan.Requests)
		}
		return fmt.Sprintf("%s   %s   %s/s   %d errors", title, of, report.Figure(float64(done)/max(elapsed, 0.001)), failed)
	})
}

// watch redraws one line until it is stopped.
func (p progress) watch(line func() string) (stop func()) {
	if !p.isTerminal {
		return func() {}
	}
	ended, drawn := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drawn)
		ticker := time.NewTicker(drawInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprint(p.out, eraseLine+"  … "+line())
			case <-ended:
				fmt.Fprint(p.out, eraseLine)
				return
			}
		}
	}()
	return func() { close(ended); <-drawn }
}

// done leaves a line for each run.
func (p progress) done(title string, run report.Run) {
	failed := run.Requests - run.Latency.Count
	cpu, _ := report.CPU(run)
	fmt.Fprintf(p.out, "  %s  %8s/s   p50 %s ms   p99 %s ms   CPU %s ms   %d errors\n",
		title, report.Figure(run.Rate), report.Figure(run.Latency.P50), report.Figure(run.Latency.P99), report.Figure(cpu), failed)
	for code, sample := range run.Samples {
		fmt.Fprintf(p.out, "      %d × %s, such as: %s\n", run.Errors[code], code, sample)
	}
}
