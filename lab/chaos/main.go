// Command chaos proves that no fault loses money or seats: it runs the real processes of
// the box office under load, hurts them in every way of a table (faults.go), lets them
// heal, and then compares the audit with its own record of every acknowledged answer.
// docs/chaos.md says what each fault is for.
//
//	chaos run        faults under load, then the proof
//	chaos sabotage   the same proof must fail on builds with one deliberate bug each
//	chaos drill      databases and ledger are lost under load, and put back from their backups
//	chaos upgrade    from a release to this tree and back, under load
//	chaos rolling    nodes restart one by one under load
//	chaos replicas   the same load on a cluster of three replicas of TigerBeetle, each taken away and brought back
//	chaos list       the faults, the bugs and the trials of replicas
//
// It is not a load test: the rates are small, so that every process can be killed on two
// cores.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

const usage = `usage: chaos run | sabotage | drill | upgrade | rolling | replicas | list [flags]   (make chaos, drill, …)

chaos <command> -h lists the flags.
`

// The ledgers that a run can be on.
const (
	ledgerEmbedded    = "embedded"
	ledgerTigerBeetle = "tigerbeetle"
)

// config is what the user wishes.
type config struct {
	repo    string
	dir     string // everything of this run
	bin     string // programs that are built already; empty: they are built
	ledger  string
	seed    uint64
	seconds int // of faults; 0: each fault once
	rounds  int // of faults, each with its proof, on the same data
	// wayBack ends with Temporal's own store on the same data.
	wayBack  bool
	rate     float64
	nodesMax int
	// auditInterval is how often the schedule audits.
	auditInterval string
	race          bool
	// withoutFailpoints builds the programs as they are delivered: for what is measured.
	withoutFailpoints bool
	kafka             bool // an Apache Kafka, not a broker of ours
	short             bool
	only              *regexp.Regexp
	from              string // of an upgrade: the release before; empty: chooseFrom decides
	backupTool        string // of a drill: how Postgres is backed up
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	commands := map[string]func(context.Context, config) error{
		"run": run, "sabotage": sabotage, "drill": runDrill, "upgrade": runUpgrade, "rolling": runRolling, "replicas": runReplicas, "list": list,
	}
	command, found := commands[os.Args[1]]
	if !found {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := readConfig(os.Args[1], os.Args[2:])
	if err == nil {
		err = command(ctx, c)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nchaos: %v\n", err)
		os.Exit(1)
	}
}

func readConfig(command string, args []string) (config, error) {
	c := config{auditInterval: auditOften}
	set := flag.NewFlagSet("chaos "+command, flag.ExitOnError)
	ledger := set.String("ledger", "auto", "auto (TigerBeetle where it is on PATH), tigerbeetle or embedded")
	seed := set.Uint64("seed", 0, "decides the faults, their order and the buyers; 0 takes a new one")
	only := set.String("only", "", "only faults, bugs, losses or trials whose names match this regular `expression`")
	set.StringVar(&c.repo, "repo", "..", "the box office's checkout")
	set.StringVar(&c.dir, "dir", "", "where the run's data, logs and report go (default: a new folder of the system's temporary one)")
	set.StringVar(&c.bin, "bin", "", "of replicas: take boxoffice, mockpay and replay from this `folder` instead of building them")
	set.IntVar(&c.seconds, "seconds", 0, "for how long faults are begun; 0 goes through all of them, once")
	set.IntVar(&c.rounds, "rounds", 1, "how often all of that happens on the same data; each round ends with its proof")
	set.BoolVar(&c.wayBack, "way-back", false, "a last round in which the stack starts anew, under load, without pgpipe")
	rate := 6.0
	if command == "replicas" {
		rate = 12
	}
	set.Float64Var(&c.rate, "rate", rate, "buyers a second")
	set.IntVar(&c.nodesMax, "nodes", 2, "nodes of the box office on TigerBeetle: 3 is one more worker")
	set.StringVar(&c.from, "from", "", "of an upgrade: the `commit` or tag to come from; default: the last tag, else the commit of CHANGELOG.md's newest release, else the last one before workers had versions")
	backup := set.String("backup", "auto", "of a drill: auto (pgBackRest where it is on PATH), pgbackrest or basebackup (Postgres's own tools)")
	set.BoolVar(&c.short, "short", false, "short faults")
	set.BoolVar(&c.kafka, "kafka", false, "events go to an Apache Kafka, which needs a Java runtime; else to a broker in this process")
	set.BoolVar(&c.race, "race", false, "build the box office and MockPay with the race detector")
	if err := set.Parse(args); err != nil {
		return c, err
	}
	var err error
	if c.only, err = regexp.Compile(*only); err != nil {
		return c, err
	}
	if c.rounds < 1 {
		return c, errors.New("-rounds: at least one")
	}
	if c.seed = *seed; c.seed == 0 {
		c.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	if c.ledger, err = chooseLedger(*ledger); err != nil {
		return c, err
	}
	if c.backupTool, err = chooseBackupTool(*backup); err != nil {
		return c, err
	}
	if c.repo, err = filepath.Abs(c.repo); err != nil || command == "list" {
		return c, err
	}
	return c, c.makeDir()
}

func chooseLedger(wish string) (string, error) {
	_, err := exec.LookPath("tigerbeetle")
	switch {
	case wish == "auto" && err == nil, wish == ledgerTigerBeetle:
		return ledgerTigerBeetle, nil
	case wish == "auto", wish == ledgerEmbedded:
		return ledgerEmbedded, nil
	default:
		return "", fmt.Errorf("-ledger %q: want auto, tigerbeetle or embedded", wish)
	}
}

// makeDir is open to be walked by the user that Postgres runs as when we are root.
func (c *config) makeDir() error {
	if c.dir == "" {
		made, err := os.MkdirTemp("", "boxoffice-chaos-")
		if err != nil {
			return err
		}
		c.dir = made
	}
	var err error
	if c.dir, err = filepath.Abs(c.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.dir, "data")); err == nil {
		return errors.New(c.dir + " holds an earlier run: take another -dir")
	}
	return os.Chmod(c.dir, 0o755)
}

// list prints what there is.
func list(_ context.Context, c config) error {
	w := &world{config: c, links: newLinks()}
	w.links.names = []string{toTemporal, toOrders, toTigerBeetle, toMockpay, toWebhooks, toStore, toKafka, toReceiver, toBuyers}
	for _, f := range faults(w) {
		fmt.Printf("%-12s %s\n", f.group, f.name)
	}
	for _, t := range trials {
		fmt.Printf("%-12s %s: %s\n", "replicas", t.name, t.what)
	}
	for _, b := range bugs {
		fmt.Printf("%-12s %s → %v\n", "bug", b.name, b.caughtBy)
	}
	return nil
}
