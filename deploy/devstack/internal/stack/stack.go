// Package stack assembles the local stack: what is started, in which order, with which
// settings, and what people and programs are told about it. The parts themselves are in
// the packages beside it.
package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"boxoffice/deploy/devstack/internal/console"
	"boxoffice/deploy/devstack/internal/datadir"
	"boxoffice/deploy/devstack/internal/envfile"
	"boxoffice/deploy/devstack/internal/jaeger"
	"boxoffice/deploy/devstack/internal/kafka"
	"boxoffice/deploy/devstack/internal/ports"
	"boxoffice/deploy/devstack/internal/postgres"
	"boxoffice/deploy/devstack/internal/prometheus"
	"boxoffice/deploy/devstack/internal/supervise"
	"boxoffice/deploy/devstack/internal/tigerbeetle"
	"boxoffice/deploy/devstack/internal/toolchain"
)

// Options of one start.
type Options struct {
	DataDir   string // where all state is kept
	Repo      string // the product's checkout; not needed when BinDir has all binaries
	BinDir    string // prebuilt boxoffice and mockpay (and, when it has it, devstack-servers); empty: build them
	FreePorts bool   // listen on free ports instead of the well-known or chosen ones
	Race      bool   // build the product with the race detector
	Download  bool   // use downloaded Postgres binaries even if one is installed
	Adopt     bool   // take over state that was made with another ledger or database name
	Ledger    tigerbeetle.Want
	Console   *console.Console

	Via           Vias // for fault tests: proxies between the processes
	RestartAlways bool // for fault tests: restart at once whatever dies, however often
	// Without are parts of Replaceable that a test starts itself, as dev.env says.
	Without []string
	// OrdersCollation is for tests: the ICU locale of a new orders database; empty: sort
	// by bytes.
	OrdersCollation string
	// TemporalDatabase is for drills: beside DATABASE_URL, the database of Temporal, on a server
	// of its own. Empty: Temporal's are beside the orders.
	TemporalDatabase string
	// CountStatements is for tests and the bench: Postgres counts statements, if it has
	// the extension.
	CountStatements bool
	StockServers    bool // for the bench: Temporal and Postgres without the settings that we chose by measuring
	// StockPersistence does not pipeline Temporal's transitions. The rows are the same
	// either way.
	StockPersistence bool
	// Kafka runs a broker and has the box office publish to it. Without it events go to
	// the brokers that the user has set, if there are any.
	Kafka bool
	// Metrics runs a Prometheus that reads the box office and evaluates its alerts.
	Metrics bool
	// Traces runs a Jaeger and has the box office trace every checkout. Without it spans go where
	// the user has set, if anywhere.
	Traces bool
	// NoMail sends buyers no mail.
	NoMail bool
}

// Replaceable are the parts that a start can leave out.
var Replaceable = []string{"boxoffice", "mockpay"}

const (
	dirMode     = 0o755
	namespace   = "default"
	clusterZero = "0" // TigerBeetle reserves it for testing, and a local stack is for testing
)

// stack is one run.
type stack struct {
	Options
	dir    *datadir.Dir
	before map[string]string // dev.env of the run before
	user   map[string]string // what the user has set for this run
	addr   addresses
	books  books

	ledger    tigerbeetle.Kind
	offer     tigerbeetle.Offer
	cluster   string
	secrets   map[string]string
	databases postgres.Databases
	jaeger    jaeger.Install // once it is started

	boxoffice, mockpayBin, servers string // paths of the binaries

	group *supervise.Group
	board *board
}

// Up starts the stack, serves until ctx ends, and stops it. Once hard ends, it kills
// whatever still runs. It returns nil after an ordinary stop, even in the middle of a
// start.
func Up(ctx, hard context.Context, o Options) error {
	dir, err := datadir.Open(o.DataDir)
	if err != nil {
		return explainRunning(o.DataDir, err)
	}
	defer dir.Close()
	s := &stack{Options: o, dir: dir, board: newBoard(dir.Path)}
	if err := s.decide(ctx); err != nil {
		s.board.update(failedWith(err))
		return err
	}
	return s.run(ctx, hard)
}

func explainRunning(dataDir string, err error) error {
	var running *datadir.RunningError
	if !errors.As(err, &running) {
		return err
	}
	status, statusErr := ReadStatus(dataDir)
	if statusErr != nil || status.PID != running.PID {
		return err
	}
	return fmt.Errorf("%w; it is %s:\n  storefront %s\n  Temporal   %s\nStop it with Ctrl-C there, or with make stop", err,
		status.State, status.Variables[varURL], status.Variables[varTemporalUI])
}

// decide settles everything that it can before anything is started or built, so that what
// cannot work is refused at once and changes nothing.
func (s *stack) decide(ctx context.Context) error {
	var err error
	if s.before, err = envfile.Read(s.envFile()); err != nil {
		return err
	}
	s.user = userVariables(os.Environ(), s.envFile())
	s.secrets = keepSecrets(s.before)
	if s.BinDir == "" {
		if err := toolchain.Check(ctx, s.Repo); err != nil {
			return err
		}
	}
	if err := s.decideLedger(ctx); err != nil {
		return err
	}
	if err := s.decideKafka(ctx); err != nil {
		return err
	}
	if s.Metrics {
		if _, err := prometheus.Look(); err != nil {
			return err
		}
	}
	if endpoint := s.user[varOTLP]; s.Traces && endpoint != "" {
		return fmt.Errorf("%s is set (%s), so the stack does not start its own Jaeger: unset one of the two", varOTLP, endpoint)
	}
	if err := s.decideBooks(); err != nil {
		return err
	}
	return s.decideAddresses()
}

func (s *stack) decideLedger(ctx context.Context) error {
	var err error
	s.cluster = clusterZero
	if cluster, set := s.user[varTBCluster]; set {
		s.cluster = cluster
	}
	if s.Ledger != tigerbeetle.WantEmbedded && s.Ledger != tigerbeetle.WantPostgres {
		if s.offer, err = tigerbeetle.Look(ctx, s.user[varTBAddress]); err != nil {
			return err
		}
	}
	if s.ledger, err = tigerbeetle.Choose(s.Ledger, s.offer); err != nil {
		return err
	}
	if s.ledger == tigerbeetle.Given {
		return tigerbeetle.Probe(ctx, s.offer.Addresses)
	}
	return nil
}

// decideKafka: a broker of somebody's is not started a second time.
func (s *stack) decideKafka(ctx context.Context) error {
	if !s.Kafka {
		return nil
	}
	if brokers := s.user[varKafkaBrokers]; brokers != "" {
		return fmt.Errorf("%s is set (%s), so the stack does not start its own broker: unset one of the two", varKafkaBrokers, brokers)
	}
	_, err := kafka.FindJava(ctx)
	return err
}

func (s *stack) decideBooks() error {
	s.books = books{Ledger: ledgerBook(s.ledger, s.offer.Addresses, s.cluster), Database: ownDatabase}
	if dsn, set := s.user[varDatabase]; set {
		d, err := postgres.ParseURL(dsn)
		if err != nil {
			return err
		}
		s.books.Database = d.Address() + "/" + d.Name
	}
	before, err := readBooks(s.booksFile())
	if err != nil {
		return err
	}
	if s.Adopt {
		return nil
	}
	return s.books.check(before)
}

func (s *stack) decideAddresses() error {
	var err error
	if s.FreePorts {
		s.addr, err = freeAddresses(s.user, s.before)
	} else {
		s.addr, err = chosenAddresses(s.user, s.before)
	}
	if err != nil {
		return err
	}
	var busy []error // all at once, not one per try
	for _, a := range s.listeners() {
		if err := ports.Check(a); err != nil {
			busy = append(busy, err)
		}
	}
	if len(busy) > 0 {
		return errors.Join(busy...)
	}
	return s.addr.pickInner()
}

// listeners are the addresses that this run will use.
func (s *stack) listeners() []ports.Address {
	list := []ports.Address{s.addr.boxOffice, s.addr.mockpay, s.addr.temporal, s.addr.temporalUI, s.addr.codec}
	if s.addr.admin.Port != s.addr.boxOffice.Port {
		list = append(list, s.addr.admin)
	}
	if s.books.Database == ownDatabase {
		list = append(list, s.addr.postgres)
	}
	if s.ledger == tigerbeetle.Own {
		list = append(list, s.addr.tigerbeetle)
	}
	if s.Kafka {
		list = append(list, s.addr.kafka)
	}
	if s.Traces {
		list = append(list, s.addr.jaeger)
	}
	if s.Metrics {
		list = append(list, s.addr.prometheus)
	}
	return list
}

func (s *stack) envFile() string { return s.dir.File("dev.env") }

func (s *stack) booksFile() string { return s.dir.File("books.json") }

func (s *stack) logDir() string { return s.dir.File("log") }

// run starts, serves and stops.
func (s *stack) run(ctx, hard context.Context) error {
	started := time.Now()
	if _, err := s.dir.Sub("log"); err != nil {
		return err
	}
	s.group = supervise.NewGroup(s.Console.Print, func() { s.board.update(func(*Status) {}) })
	if s.RestartAlways {
		s.group.RestartAlways()
	}
	s.board.group = s.group
	s.board.update(func(st *Status) {
		st.EnvFile, st.Ledger, st.Database = s.envFile(), s.books.Ledger, s.books.Database
	})

	s.Console.Print("box office: local stack in %s\n", s.dir.Path)
	err := s.start(ctx)
	if err == nil {
		s.board.update(func(st *Status) { st.State = StateReady })
		s.greet(time.Since(started))
		select {
		case <-ctx.Done():
		case err = <-s.group.Failed():
		}
	}
	if ctx.Err() != nil {
		err = nil // the user asked to stop, at whatever point
	}
	s.stop(hard, err)
	return err
}

func (s *stack) stop(hard context.Context, cause error) {
	if cause != nil {
		first, _, _ := strings.Cut(cause.Error(), "\n")
		s.Console.Print("\n%s", first) // the complete text comes last
	}
	s.Console.Print("\nstopping; once more Ctrl-C kills what still runs")
	s.board.update(func(st *Status) { st.State = StateStopping })
	s.group.Stop(hard, func(name, how string, took time.Duration) {
		s.Console.Print("  ✓ %-14s %-52s %6.1f s", name, how, took.Seconds())
	})
	if cause != nil {
		s.board.update(failedWith(cause))
		return
	}
	s.board.update(func(st *Status) { st.State = StateStopped })
}

func (s *stack) greet(took time.Duration) {
	envFile := s.envFile()
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, envFile); err == nil && filepath.IsLocal(rel) {
			envFile = rel
		}
	}
	s.Console.Print(`
ready in %.1f s

  storefront     %s
  mails          %s/mail/
  Temporal       %s/namespaces/%s/workflows
  MockPay        %s
  admin API      %s, bearer token in %s
%s
Buy a ticket there, or with curl as docs/start.md shows. In a second terminal:
  make demo      a crowd of buyers, then the audit
  make verify    the audit alone
  set -a; . %s; set +a      points any tool at this stack
Ctrl-C stops everything; the state stays (make clean removes it).
%s`, took.Seconds(), s.addr.boxOffice.URL(), s.addr.boxOffice.URL(), s.addr.temporalUI.URL(), namespace, s.addr.mockpay.URL(), s.addr.admin.URL(),
		envFile, s.kafkaNote()+s.metricsNote()+s.tracesNote(), envFile, s.ledgerNote())
}

func (s *stack) kafkaNote() string {
	if !s.Kafka {
		return ""
	}
	return fmt.Sprintf("  Kafka          %s; make events shows its records\n", s.addr.kafka.HostPort())
}

func (s *stack) metricsNote() string {
	if !s.Metrics {
		return ""
	}
	return fmt.Sprintf("  Prometheus     http://%s/alerts; deploy/grafana has dashboards to import\n", s.addr.prometheus.HostPort())
}

func (s *stack) tracesNote() string {
	switch {
	case !s.Traces:
		return ""
	case s.jaeger.HasPages:
		return fmt.Sprintf("  traces         %s/trace/ORDER\n", s.addr.jaeger.URL())
	default:
		return "  traces         make trace ORDER=… shows one; this Jaeger was built without its pages\n"
	}
}

func (s *stack) ledgerNote() string {
	switch s.ledger {
	case tigerbeetle.Embedded:
	case tigerbeetle.Postgres:
		return `
The ledger is rows in Postgres: the baseline that TigerBeetle is compared with, not a ledger for production.
`
	default:
		return ""
	}
	return fmt.Sprintf(`
The ledger is the embedded one: TigerBeetle's semantics in the box office's own process, for development. For the real
one put TigerBeetle %s on PATH (docs.tigerbeetle.com, "Start") or set %s, and begin with make clean: the two
keep different books.
`, tigerbeetle.Release, varTBAddress)
}
