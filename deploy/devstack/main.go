// Command devstack runs the whole box office on one machine: Postgres, Temporal with its
// Web UI, a ledger, MockPay and the service itself, from one command and with its state
// in one directory. It is for development, tests and the demo. In production you run each
// part yourself (docs, "Processes").
//
//	devstack up      start everything, serve until Ctrl-C, stop everything
//	devstack stop    stop a stack that runs elsewhere
//	devstack clean   remove the data directory
//	devstack kafka   say whether an Apache Kafka can run here
//	devstack events  show what the Kafka of a running stack gets
//	devstack trace   show an order's trace
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"boxoffice/deploy/devstack/internal/console"
	"boxoffice/deploy/devstack/internal/jaeger"
	"boxoffice/deploy/devstack/internal/kafka"
	"boxoffice/deploy/devstack/internal/postgres"
	"boxoffice/deploy/devstack/internal/stack"
	"boxoffice/deploy/devstack/internal/tigerbeetle"
	"boxoffice/deploy/devstack/internal/toolchain"
)

const usage = `usage: devstack <command> [flags]

  up      start everything, serve until Ctrl-C, stop everything
  stop    stop the stack that runs on the data directory
  clean   remove the data directory
  kafka   say whether an Apache Kafka can run here (--fetch downloads what is missing)
  events  show what the Kafka of a running stack gets, until Ctrl-C
  trace   show the trace of an order, from the Jaeger of a running stack

Every command takes --data DIR (default .data); devstack <command> -h lists the rest.
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	commands := map[string]func(args []string) error{
		"up":                up,
		"stop":              stop,
		"clean":             clean,
		"kafka":             lookForKafka,
		"events":            events,
		"trace":             trace,
		"fetch-postgres":    fetchPostgres,    // not for people: see postgres.Download
		"postgres-binaries": postgresBinaries, // for the tests of the product's module
	}
	command, found := commands[os.Args[1]]
	if !found {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := command(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		os.Exit(1)
	}
}

func flags(command string) (set *flag.FlagSet, data *string) {
	set = flag.NewFlagSet("devstack "+command, flag.ExitOnError)
	return set, set.String("data", ".data", "the data `directory`")
}

func up(args []string) error {
	set, data := flags("up")
	var o stack.Options
	ledger := set.String("ledger", "auto", "auto, tigerbeetle, embedded or postgres (a baseline); auto takes a TigerBeetle where there is one")
	repo := set.String("repo", "", "the box office's checkout (default: found upwards from here)")
	set.StringVar(&o.BinDir, "bin-dir", "", "take boxoffice (with --ledger postgres: lab) and mockpay from this `directory` instead of building them")
	set.BoolVar(&o.FreePorts, "free-ports", false, "listen on free ports; dev.env and stack.json tell which")
	set.BoolVar(&o.Download, "download-postgres", false, "use downloaded Postgres binaries even where one is installed")
	set.BoolVar(&o.Race, "race", false, "build the box office and MockPay with the race detector")
	set.BoolVar(&o.Adopt, "adopt", false, "the ledger or the database is the same one under another name")
	o.Via = stack.Vias{}
	set.Var(o.Via, "via", "for fault tests: `LINK=HOST:PORT` of a proxy between two processes; repeatable")
	set.BoolVar(&o.StockServers, "stock-servers", false, "for the bench: Temporal and Postgres with the settings that they come with, on an empty data directory")
	set.BoolVar(&o.Kafka, "kafka", false, "start an Apache Kafka, and publish events to it; needs a Java runtime")
	set.BoolVar(&o.Metrics, "metrics", false, "start a Prometheus that reads the box office, with its alerts; needs one on PATH")
	set.BoolVar(&o.Traces, "traces", false, "start a Jaeger, and trace every checkout; where none is installed it is built, which takes minutes once")
	set.BoolVar(&o.NoMail, "no-mail", false, "for the bench: buyers get no mail, unless BOXOFFICE_SMTP_HOST is set")
	set.BoolVar(&o.StockPersistence, "stock-persistence", false, "Temporal's own store does everything: its transitions are not pipelined (deploy/pgpipe)")
	set.StringVar(
		&o.OrdersCollation,
		"orders-collation",
		"",
		"for tests: the ICU `locale` that a new orders database orders text by, where the server knows ICU (default: by bytes)",
	)
	set.StringVar(&o.TemporalDatabase, "temporal-database", "", "for drills, with DATABASE_URL: Temporal's database is at this `URL`, not beside the orders")
	set.BoolVar(&o.CountStatements, "count-statements", false, "for tests and the bench: Postgres counts its statements, where it has pg_stat_statements")
	set.Func("without", "for tests, that start it themselves as dev.env says: `boxoffice` (with its seed) or mockpay is not started; repeatable", func(name string) error {
		if !slices.Contains(stack.Replaceable, name) {
			return fmt.Errorf("want one of %s", strings.Join(stack.Replaceable, ", "))
		}
		o.Without = append(o.Without, name)
		return nil
	})
	set.BoolVar(&o.RestartAlways, "restart-always", false, "for fault tests: start again at once what dies, however often")
	set.Parse(args)
	o.DataDir, o.Ledger, o.Console = *data, tigerbeetle.Want(*ledger), console.New(os.Stdout)
	var err error
	if o.Repo, err = findRepo(*repo); err != nil {
		return err
	}
	soft, hard, release := stopSignals()
	defer release()
	return stack.Up(soft, hard, o)
}

func findRepo(named string) (string, error) {
	if named == "" {
		named = "."
	}
	return toolchain.FindRepo(named)
}

// sameWish: signals that come within this time of each other count as one. A tool that
// signals this process and then its group means one stop, and nobody types that fast.
const sameWish = time.Second

// stopSignals: the first signal ends soft, a second one hard.
func stopSignals() (soft, hard context.Context, release func()) {
	soft, cancelSoft := context.WithCancel(context.Background())
	hard, cancelHard := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		var first time.Time
		for range signals {
			if first.IsZero() {
				first = time.Now()
				cancelSoft()
			} else if time.Since(first) > sameWish {
				cancelHard()
			}
		}
	}()
	return soft, hard, func() { signal.Stop(signals); cancelSoft(); cancelHard() }
}

func stop(args []string) error {
	set, data := flags("stop")
	set.Parse(args)
	stopped, err := stack.Down(*data)
	if err == nil && stopped {
		fmt.Println("stopped")
	} else if err == nil {
		fmt.Println("no stack runs on", *data)
	}
	return err
}

func clean(args []string) error {
	set, data := flags("clean")
	yes := set.Bool("yes", false, "do not ask")
	set.Parse(args)
	removed, err := stack.Clean(*data, func(paths []string) bool { return *yes || agree(paths) })
	if err == nil && len(removed) == 0 {
		fmt.Println("nothing removed")
	}
	for _, path := range removed {
		fmt.Println("removed", path)
	}
	return err
}

func agree(paths []string) bool {
	fmt.Printf("This removes every sale, order and payment of the local stack: %s\nGo on? [y/N] ", strings.Join(paths, ", "))
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // no answer means no
	return strings.EqualFold(strings.TrimSpace(answer), "y")
}

// lookForKafka prints where its files are, or what is missing.
func lookForKafka(args []string) error {
	set := flag.NewFlagSet("devstack kafka", flag.ExitOnError)
	fetch := set.Bool("fetch", false, "download what is missing")
	set.Parse(args)
	find := kafka.Look
	if *fetch {
		find = kafka.Get
	}
	install, err := find(context.Background())
	if err == nil {
		fmt.Printf("Apache Kafka %s in %s, on %s\n", kafka.Release, install.Jars, install.Java)
	}
	return err
}

// events becomes Kafka's own console consumer.
func events(args []string) error {
	set, data := flags("events")
	topic := set.String("topic", "boxoffice.orders", "the `topic`: boxoffice.orders or boxoffice.sales")
	set.Parse(args)
	status, err := stack.ReadStatus(*data)
	address := status.Variables["KAFKA_BROKERS"]
	if err != nil || address == "" {
		return fmt.Errorf("no stack with Kafka has run in %s; start one with: make run KAFKA=1", *data)
	}
	install, err := kafka.Look(context.Background())
	if err != nil {
		return err
	}
	folder, err := filepath.Abs(filepath.Join(*data, "kafka"))
	if err != nil {
		return err
	}
	command := append([]string{install.Java}, install.ConsumerArgs(folder, address, *topic, set.Args()...)...)
	return syscall.Exec(install.Java, command, os.Environ())
}

// trace prints the trace of an order.
func trace(args []string) error {
	set, data := flags("trace")
	set.Parse(args)
	status, err := stack.ReadStatus(*data)
	address := status.Variables["BOXOFFICE_JAEGER_URL"]
	switch {
	case err != nil || address == "":
		return fmt.Errorf("no stack with a Jaeger has run in %s; start one with: make run TRACES=1", *data)
	case set.NArg() != 1 || set.Arg(0) == "":
		return errors.New("name one order: make trace ORDER=…")
	}
	return jaeger.Show(context.Background(), os.Stdout, address, set.Arg(0))
}

func fetchPostgres(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("fetch-postgres is part of `devstack up`")
	}
	return postgres.Fetch(args[0])
}

// postgresBinaries prints the folder of downloaded binaries, and downloads them first if
// they are missing.
func postgresBinaries([]string) error {
	id, err := postgres.ServerIdentity()
	if err != nil {
		return err
	}
	server, err := postgres.Download(context.Background(), id, stack.SelfPath(), runProgram)
	if err == nil {
		fmt.Println(server.Bin)
	}
	return err
}

func runProgram(ctx context.Context, name string, id postgres.Identity, path string, args ...string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: id.Credential}
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, output)
	}
	return nil
}
