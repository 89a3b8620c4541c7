package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/app"
	"boxoffice/lab/bench"
	"boxoffice/lab/bench/probe"
	"boxoffice/lab/bench/report"
	variants "boxoffice/lab/bench/variant"
	"boxoffice/lab/postgres"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/payments/mockpay"
)

// benchAuditWait is how long the audit waits for orders in flight. A hold whose
// answer was unknown stays in flight until it expires: nobody waits for that.
const benchAuditWait = 20 * time.Second

const benchUsage = `usage: lab bench [flags]                       measure the stack that the environment points at
       lab bench recovery [flags] COMMAND...   kill it, and see what becomes of its checkouts
       lab bench compare A.json B.json         what result B is to result A
       lab bench variants RESULT.json...       one table of what make bench-variants measured

The environment of the local stack: set -a; . .data/dev.env; set +a. make bench
starts a stack of its own. docs/bench.md says what is measured.
exit: 0 measured; 1 not measured, or something is wrong: the last lines say what

`

var benchCommands = map[string]app.Command{
	"compare":  compareBenches,
	"recovery": runBenchRecovery,
	"variants": tabulateVariants,
}

// runBench measures the running box office, or runs a command of the bench.
func runBench(ctx context.Context, args []string) error {
	if len(args) > 0 && benchCommands[args[0]] != nil {
		return benchCommands[args[0]](ctx, args[1:])
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	f := benchFlags(flags)
	setUsage(flags, benchUsage)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("bench has no command %q; it has: %s", flags.Arg(0), strings.Join(slices.Sorted(maps.Keys(benchCommands)), ", "))
	}
	c, err := app.ReadConfig()
	if err != nil {
		return err
	}
	options, err := f.options(c)
	if err != nil {
		return err
	}
	ctx, cancel := withTimeoutFlag(ctx, f.timeout)
	defer cancel()
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	options.Temporal, err = c.DialTemporal(ctx, quiet)
	if err != nil {
		return fmt.Errorf("%w (is the stack running? `make run`)", err)
	}
	defer options.Temporal.Close()
	options.StartNode = func(ctx context.Context) (*bench.Node, error) { return startNode(ctx, c, f.out) }
	options.OpenLedger = func(ctx context.Context) (*bench.DirectLedger, error) { return openDirectLedger(ctx, c, quiet) }
	result, err := bench.Run(ctx, options)
	return reportBench(result, err, f.out)
}

// setUsage puts text before the list of flags.
func setUsage(flags *flag.FlagSet, text string) {
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), text)
		flags.PrintDefaults()
	}
}

func withTimeoutFlag(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("--timeout %v is over", timeout))
}

// reportBench stores the measurements, even if something is wrong.
func reportBench(result report.Result, err error, folder string) error {
	if err != nil && !errors.Is(err, bench.ErrFound) {
		return err
	}
	return errors.Join(err, writeBench(result, folder))
}

type benchSettings struct {
	phases, clients, rates, out string
	nodes                       string
	warmup, duration, timeout   time.Duration
	runs                        int
	orders                      int64
	seed                        uint64
	even, viaMockPay            bool
	storm                       bench.Storm
}

func benchFlags(flags *flag.FlagSet) *benchSettings {
	f := &benchSettings{}
	flags.StringVar(&f.phases, "phases", strings.Join(bench.PhaseNames(), ","), "what to measure, separated by commas; none: only --orders")
	flags.StringVar(&f.clients, "concurrency", "", "`clients` of the closed loops, such as 1,64,256, or none; default: what each phase is for")
	flags.StringVar(&f.rates, "rate", "", "`arrivals` a second of open loops, or shares of the closed loops' rate: 55,50%; default: 50% for journey")
	flags.StringVar(
		&f.nodes,
		"nodes",
		"",
		"numbers of box office `processes` to measure each load with, such as 1,2 (journey, checkout, webhook, reads); default: the one that runs",
	)
	flags.BoolVar(&f.even, "even", false, "evenly spaced arrivals in open loops instead of random ones")
	flags.Uint64Var(&f.seed, "seed", rand.Uint64(), "seed of random arrivals; default: a random one")
	flags.DurationVar(&f.warmup, "warmup", 2*time.Second, "warm-up before each run, not measured")
	flags.DurationVar(&f.duration, "duration", 5*time.Second, "measured time of each run")
	flags.IntVar(&f.runs, "runs", 3, "runs of each load")
	flags.Int64Var(&f.orders, "orders", 0, "measure this many paid orders in a row, with the cost of each tenth")
	flags.BoolVar(&f.viaMockPay, "mockpay", false, "pay at MockPay, which sends the webhook, instead of signing webhooks here")
	flags.IntVar(&f.storm.Buyers, "buyers", bench.DefaultStorm.Buyers, "buyers in a storm, each for one ticket")
	flags.Int64Var(&f.storm.Tickets, "tickets", bench.DefaultStorm.Tickets, "tickets of a storm's sale")
	flags.DurationVar(&f.storm.Spread, "spread", bench.DefaultStorm.Spread, "time in which all buyers of a storm arrive")
	flags.DurationVar(&f.storm.Patience, "patience", bench.DefaultStorm.Patience, "how long a storm's buyer keeps asking while all tickets are held")
	flags.IntVar(&f.storm.Connections, "connections", bench.DefaultStorm.Connections, "connections that all buyers of a storm share, as behind a proxy")
	flags.IntVar(&f.storm.RoomConnections, "room-connections", bench.DefaultStorm.RoomConnections, "connections shared by a storm with a waiting room")
	flags.IntVar(
		&f.storm.Live,
		"live",
		bench.DefaultStorm.Live,
		"buyers in the waiting room who watch their place, each over its own connection; the others poll",
	)
	flags.Float64Var(&f.storm.ReadsPerSecond, "reads", bench.DefaultStorm.ReadsPerSecond, "reads of places per second, once everybody has a place")
	flags.DurationVar(&f.storm.ReadFor, "read-for", bench.DefaultStorm.ReadFor, "how long to measure those reads")
	flags.StringVar(&f.out, "out", "bench-results", "`folder` of the JSON and HTML files")
	flags.DurationVar(&f.timeout, "timeout", time.Hour, "time limit of the whole run")
	return f
}

// benchOptions are those of the stack; what to measure is not said yet.
func benchOptions(c app.Config) (bench.Options, error) {
	const next = "for the local stack: set -a; . .data/dev.env; set +a. make bench does it all"
	o := bench.Options{
		URL: c.URL, AdminURL: c.AdminURL, AdminToken: string(c.AdminToken), MockPayURL: c.MockPayURL, DatabaseURL: string(c.DatabaseURL), DataDir: c.DataDir,
		Commit: commit(), Out: os.Stdout, AuditTimeout: benchAuditWait,
	}
	if info, err := os.Stdout.Stat(); err == nil {
		o.IsTerminal = info.Mode()&os.ModeCharDevice != 0
	}
	secrets, err := mockpay.ParseSecrets(string(c.WebhookSecret))
	if err != nil {
		return o, fmt.Errorf("BOXOFFICE_WEBHOOK_SECRET: %w (%s)", err, next)
	}
	o.Signer, err = mockpay.NewSigner(secrets)
	return o, err
}

func (f *benchSettings) options(c app.Config) (bench.Options, error) {
	o, err := benchOptions(c)
	if err != nil {
		return o, err
	}
	o.Even, o.Seed, o.Warmup, o.Duration, o.Runs, o.Orders = f.even, f.seed, f.warmup, f.duration, f.runs, f.orders
	o.ViaMockPay, o.Storm = f.viaMockPay, f.storm
	if f.phases != "" && f.phases != "none" {
		o.Phases = strings.Split(f.phases, ",")
	}
	o.OpenOnly = f.clients == "none"
	if f.clients != "" && !o.OpenOnly {
		if o.Clients, err = bench.ParseCounts(f.clients); err != nil {
			return o, fmt.Errorf("--concurrency: %w", err)
		}
	}
	if f.nodes != "" {
		if o.Nodes, err = bench.ParseCounts(f.nodes); err != nil {
			return o, fmt.Errorf("--nodes: %w", err)
		}
	}
	if f.rates != "" {
		if o.Rates, err = bench.ParseRates(f.rates); err != nil {
			return o, fmt.Errorf("--rate: %w", err)
		}
	}
	return o, nil
}

// commit is this program's, or else that of the checkout in which it runs.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		vcs := map[string]string{}
		for _, setting := range info.Settings {
			vcs[setting.Key] = setting.Value
		}
		if id := vcs["vcs.revision"]; id != "" {
			return id + changes(vcs["vcs.modified"] == "true")
		}
	}
	revision, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	status, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	return strings.TrimSpace(string(revision)) + changes(err == nil && len(status) > 0)
}

func changes(some bool) string {
	if some {
		return "+changes"
	}
	return ""
}

// openDirectLedger opens the configured ledger once more: another session of the
// cluster, or an embedded one in a folder of its own, because the service's
// belongs to the service's process.
func openDirectLedger(ctx context.Context, c app.Config, log *slog.Logger) (*bench.DirectLedger, error) {
	var (
		client tb.Client
		kind   string
		remove = func() error { return nil }
		err    error
	)
	if c.Ledger == ledgerPostgres {
		kind = "the service's tables in Postgres, over separate connections"
		client, err = postgres.Open(ctx, string(c.DatabaseURL), postgres.Options{Logger: log})
	} else if len(c.TigerBeetleAddresses) > 0 {
		kind = "the service's TigerBeetle, over a separate session"
		client, err = ledger.Dial(ctx, ledger.Config{ClusterID: c.TigerBeetleClusterID, Addresses: c.TigerBeetleAddresses})
	} else {
		kind = "an embedded ledger in the generator's process, beside the service's"
		client, remove, err = openTemporaryLedger(c.DataDir, log)
	}
	if err != nil {
		return nil, err
	}
	observer, metrics := app.LedgerMeter()
	batcher := ledger.NewBatcher(client, ledger.WithLogger(log), ledger.WithObserver(observer))
	return &bench.DirectLedger{
		Kind: kind, Book: ledger.NewBook(batcher),
		Meter: func() (probe.Metrics, error) { return probe.GatherMetrics(metrics) },
		Close: func() error { return errors.Join(batcher.Close(), remove()) },
	}, nil
}

// openTemporaryLedger is on the disk of the data directory, so that it flushes
// to what the service's ledger flushes to.
func openTemporaryLedger(dataDir string, log *slog.Logger) (client tb.Client, remove func() error, err error) {
	dir, err := os.MkdirTemp(dataDir, "bench-ledger-")
	if err != nil {
		return nil, nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	engine, err := embedded.Open(dir, embedded.Options{Logger: log})
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return engine, remove, nil
}

// writeBench prints the tables and stores the result, as JSON and as a page.
func writeBench(result report.Result, folder string) error {
	fmt.Println()
	if err := result.WriteText(os.Stdout); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	base := filepath.Join(folder, fmt.Sprintf("%s-%s", result.StartedAt.Format("20060102-150405"), result.Ledger))
	if err := result.Write(base + ".json"); err != nil {
		return err
	}
	page, err := os.Create(base + ".html")
	if err != nil {
		return err
	}
	if err := errors.Join(result.WriteHTML(page), page.Close()); err != nil {
		return err
	}
	fmt.Printf("\n%s.json\n%s.html\n", base, base)
	return nil
}

func compareBenches(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("bench compare", flag.ExitOnError)
	setUsage(flags, `usage: lab bench compare A.json B.json

Prints what result B is to result A, for every load that both have. Results are
what a bench leaves in bench-results.
`)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return errors.New("bench compare takes two result files, such as a bench leaves in bench-results: lab bench compare A.json B.json")
	}
	a, err := report.Read(flags.Arg(0))
	if err != nil {
		return err
	}
	b, err := report.Read(flags.Arg(1))
	if err != nil {
		return err
	}
	return report.Compare(os.Stdout, a, b)
}

// tabulateVariants prints one table of the results of make bench-variants.
func tabulateVariants(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("bench variants", flag.ExitOnError)
	setUsage(flags, `usage: lab bench variants RESULT.json...

Prints one table of results of different variants. make bench-variants measures
them, and leaves them in bench-results/variants.
`)
	if err := flags.Parse(args); err != nil {
		return err
	}
	var results []report.Result
	for _, file := range flags.Args() {
		result, err := report.Read(file)
		if err != nil {
			return err
		}
		results = append(results, result)
	}
	return report.Variants(os.Stdout, results, variants.Names())
}
