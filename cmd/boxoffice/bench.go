package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/bench"
	"boxoffice/bench/probe"
	"boxoffice/bench/report"
	variants "boxoffice/bench/variant"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/ledger/postgres"
	"boxoffice/payments"
	"boxoffice/worker"
)

// benchAuditWait is how long the audit waits for what is in flight. A hold whose
// answer was unknown stays in flight until it expires: nobody waits for that.
const benchAuditWait = 20 * time.Second

// runBench measures the running box office, or compares two measurements.
func runBench(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "compare" {
		return compareBenches(args[1:])
	}
	if len(args) > 0 && args[0] == "variants" {
		return tabulateVariants(args[1:])
	}
	if len(args) > 0 && args[0] == "recovery" {
		return runBenchRecovery(ctx, args[1:])
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	f := benchFlags(flags)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: boxoffice bench [flags]\n       boxoffice bench compare A.json B.json\n       boxoffice bench variants RESULT.json...\n       boxoffice bench recovery [flags] COMMAND...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	options, err := f.options(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	options.Temporal, err = worker.Dial(ctx, c.TemporalAddress, c.TemporalNamespace, c.Payloads, quiet)
	if err != nil {
		return err
	}
	defer options.Temporal.Close()
	options.StartNode = func(ctx context.Context) (*bench.Node, error) { return startNode(ctx, c, f.out) }
	options.OpenLedger = func(ctx context.Context) (*bench.DirectLedger, error) { return openDirectLedger(ctx, c, quiet) }
	result, err := bench.Run(ctx, options)
	if err != nil && !errors.Is(err, bench.ErrFound) {
		return err
	}
	return errors.Join(err, writeBench(result, f.out))
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
	flags.StringVar(&f.phases, "phases", strings.Join(bench.PhaseNames(), ","), "what to measure, separated by commas; none with --orders measures nothing else")
	flags.StringVar(&f.clients, "concurrency", "", "`clients` of the closed loops, such as 1,64,256, or none; default: what each phase is for")
	flags.StringVar(&f.rates, "rate", "", "`arrivals` a second of open loops, or shares of the closed loops' rate: 55,50%; default: 50% for journey")
	flags.StringVar(&f.nodes, "nodes", "", "each load with so many `processes` of the box office in turn, such as 1,2; default: the one that runs")
	flags.BoolVar(&f.even, "even", false, "arrivals of open loops at equal distances, not at random")
	flags.Uint64Var(&f.seed, "seed", rand.Uint64(), "of random arrivals; default random")
	flags.DurationVar(&f.warmup, "warmup", 2*time.Second, "before each run, not measured")
	flags.DurationVar(&f.duration, "duration", 5*time.Second, "of each run, measured")
	flags.IntVar(&f.runs, "runs", 3, "of each load")
	flags.Int64Var(&f.orders, "orders", 0, "so many paid orders in a row, with their cost by tenth")
	flags.BoolVar(&f.viaMockPay, "mockpay", false, "pay at MockPay, which sends the webhook, instead of signing webhooks here")
	flags.IntVar(&f.storm.Buyers, "buyers", bench.DefaultStorm.Buyers, "of a storm, each for one ticket")
	flags.Int64Var(&f.storm.Tickets, "tickets", bench.DefaultStorm.Tickets, "of a storm's sale")
	flags.DurationVar(&f.storm.Spread, "spread", bench.DefaultStorm.Spread, "in which all buyers of a storm arrive")
	flags.DurationVar(&f.storm.Patience, "patience", bench.DefaultStorm.Patience, "how long a storm's buyer goes on asking who is told that all tickets are held")
	flags.IntVar(&f.storm.Connections, "connections", bench.DefaultStorm.Connections, "over which all buyers of a storm ask")
	flags.IntVar(&f.storm.Live, "live", bench.DefaultStorm.Live, "buyers in the waiting room who watch their place over a connection of their own; the others poll")
	flags.Float64Var(&f.storm.ReadsPerSecond, "reads", bench.DefaultStorm.ReadsPerSecond, "of places a second, once everybody in the waiting room has one")
	flags.DurationVar(&f.storm.ReadFor, "read-for", bench.DefaultStorm.ReadFor, "how long that is measured")
	flags.StringVar(&f.out, "out", "bench-results", "`folder` of the JSON and HTML files")
	flags.DurationVar(&f.timeout, "timeout", time.Hour, "of everything")
	return f
}

func (f *benchSettings) options(c config) (bench.Options, error) {
	o := bench.Options{
		URL: c.URL, AdminURL: c.AdminURL, AdminToken: string(c.AdminToken), MockPayURL: c.MockPayURL, DatabaseURL: string(c.DatabaseURL), DataDir: c.DataDir,
		Even: f.even, Seed: f.seed, Warmup: f.warmup, Duration: f.duration, Runs: f.runs, Orders: f.orders, ViaMockPay: f.viaMockPay, Storm: f.storm,
		Commit: commit(), Out: os.Stdout, AuditTimeout: benchAuditWait,
	}
	if info, err := os.Stdout.Stat(); err == nil {
		o.IsTerminal = info.Mode()&os.ModeCharDevice != 0
	}
	if f.phases != "" && f.phases != "none" {
		o.Phases = strings.Split(f.phases, ",")
	}
	var err error
	o.OpenOnly = f.clients == "none"
	if f.clients != "" && !o.OpenOnly {
		if o.Clients, err = bench.ParseClients(f.clients); err != nil {
			return o, fmt.Errorf("--concurrency: %w", err)
		}
	}
	if f.nodes != "" {
		if o.Nodes, err = bench.ParseClients(f.nodes); err != nil {
			return o, fmt.Errorf("--nodes: %w", err)
		}
	}
	if f.rates != "" {
		if o.Rates, err = bench.ParseRates(f.rates); err != nil {
			return o, fmt.Errorf("--rate: %w", err)
		}
	}
	if err := c.forTemporal(); err != nil {
		return o, err
	}
	secrets, err := payments.ParseSecrets(string(c.WebhookSecret))
	if err != nil {
		return o, fmt.Errorf("BOXOFFICE_WEBHOOK_SECRET: %w (set -a; . .data/dev.env)", err)
	}
	o.Signer, err = payments.NewSigner(secrets)
	return o, err
}

// commit is that of this program, or else of the checkout in which it runs.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	revision, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	id := strings.TrimSpace(string(revision))
	if changes, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(changes) > 0 {
		id += "+changes"
	}
	return id
}

// openDirectLedger opens the configured ledger once more: another session of the
// cluster, or an embedded one in a folder of its own, because the service's
// belongs to the service's process.
func openDirectLedger(ctx context.Context, c config, log *slog.Logger) (*bench.DirectLedger, error) {
	var (
		client tb.Client
		kind   string
		remove = func() error { return nil }
		err    error
	)
	if c.Ledger == ledgerPostgres {
		kind = "the service's tables in Postgres, by connections of its own"
		client, err = postgres.Open(ctx, string(c.DatabaseURL), postgres.Options{Logger: log})
	} else if len(c.TigerBeetleAddresses) > 0 {
		kind = "the service's TigerBeetle, by a session of its own"
		client, err = ledger.Dial(ctx, ledger.Config{ClusterID: c.TigerBeetleClusterID, Addresses: c.TigerBeetleAddresses})
	} else {
		kind = "an embedded ledger in the generator's process, beside the service's"
		client, remove, err = openTemporaryLedger(c.DataDir, log)
	}
	if err != nil {
		return nil, err
	}
	meter := newMetrics()
	batcher := ledger.NewBatcher(client, ledger.WithLogger(log), ledger.WithObserver(meter))
	return &bench.DirectLedger{
		Kind: kind, Book: ledger.NewBook(batcher),
		Meter: func() (probe.Metrics, error) { return probe.GatherMetrics(meter.registry) },
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

func compareBenches(args []string) error {
	flags := flag.NewFlagSet("bench compare", flag.ExitOnError)
	flags.Usage = func() { fmt.Fprintln(flags.Output(), "usage: boxoffice bench compare A.json B.json") }
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return errors.New("compare takes two result files: boxoffice bench compare A.json B.json")
	}
	a, err := report.Read(flags.Arg(0))
	if err != nil {
		return err
	}
	b, err := report.Read(flags.Arg(1))
	if err != nil {
		return err
	}
	return report.Compare(io.Writer(os.Stdout), a, b)
}

// tabulateVariants prints one table of what make bench-variants has measured.
func tabulateVariants(files []string) error {
	results := make([]report.Result, 0, len(files))
	for _, file := range files {
		result, err := report.Read(file)
		if err != nil {
			return err
		}
		results = append(results, result)
	}
	return report.Variants(os.Stdout, results, variants.Names())
}
