package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"boxoffice/client"
	"boxoffice/pace"
)

// A cluster of three replicas of TigerBeetle is the ledger of a whole box office, and one replica after the other is taken away
// and brought back while buyers hold, pay and leave. It tells what buyers notice, and ends with the proof that every run ends
// with. docs/ledger.md says what an operator does each time.

// An ordeal is one such run.
type ordeal struct {
	*world
	// wide never sells out: each hold is asked of the ledger, and is timed. scarce sells out, so that one hold too many would show.
	wide, scarce *load
	rows         []row
}

// A trial is one thing that happens to the cluster.
type trial struct {
	name   string
	what   string
	suffer func(context.Context, *ordeal) (string, error)
}

// A row is a line of the table.
type row struct {
	Trial      string  `json:"trial"`
	What       string  `json:"what"`
	Seconds    float64 `json:"seconds"`
	Result     string  `json:"result"`
	Effect     effect  `json:"effect"`
	Unanswered int     `json:"ledger_units_unanswered"` // by the ledger, within the time that a unit waits
	Unsent     int     `json:"ledger_units_not_sent"`
}

var trials = []*trial{
	{"ordinary", "nothing happens", ordinarily},
	{"kill-backup", "a backup is killed", to((*cluster).backup, oneKilled)},
	{"kill-primary", "the primary is killed", to((*cluster).leader, oneKilled)},
	{"pause-backup", "a backup stands still", to((*cluster).backup, onePaused)},
	{"pause-primary", "the primary stands still", to((*cluster).leader, onePaused)},
	{"log-damaged", "a quarter of a backup's log is overwritten with junk", to((*cluster).backup, logDamaged)},
	{"file-lost", "the head of a backup's file is overwritten with junk: recovered", to((*cluster).backup, fileLost)},
	{"rolling", "one replica after the other is restarted, the primary last", restartedInTurn},
	{"evicted", "the box office stands still and is evicted", sessionEvicted},
	{"no-quorum", "two of three are killed: no quorum", quorumLost},
}

// Of the load. The wide sale is seen as often as buyers come, so their rate bounds what a silence can tell.
const (
	wideSeats       = 100_000
	scarceSeats     = 90  // sold out soon
	wideAtOnceMax   = 900 // who waits for a quorum must not keep others from coming
	widePeople      = 1_000_000
	scarceShare     = 4        // of the rate
	clientsMax      = 64       // that a cluster keeps, TigerBeetle's config
	superblockBytes = 16 << 20 // the head of a data file, and the begin of its log
	logEntries      = 1024     // of a replica's log, a ring, its config: a MiB each, behind logBegin
	logBegin        = 2 << 20
	logDamage       = logEntries / 4
	logEntryBytes   = 1 << 20
)

// away is how long something is gone: longer than the ledger's callers wait.
func (c config) away() time.Duration {
	if c.short {
		return 3 * time.Second
	}
	return 8 * time.Second
}

// runReplicas is `chaos replicas`.
func runReplicas(ctx context.Context, c config) error {
	chosen := slices.DeleteFunc(slices.Clone(trials), func(t *trial) bool { return !c.only.MatchString(t.name) })
	if len(chosen) == 0 {
		return errors.New("-only: no trial has such a name; `chaos list` has them")
	}
	if _, err := exec.LookPath("tigerbeetle"); err != nil {
		return fmt.Errorf("there is no tigerbeetle on PATH, and the embedded ledger has no replicas: put the release that go.mod names there "+
			"(docs.tigerbeetle.com, \"Start\"): %w", err)
	}
	c.ledger, c.nodesMax, c.withoutFailpoints = ledgerTigerBeetle, 1, true
	log := newJournal(c)
	log.printf("replicas: seed %d, %g buyers a second; everything of it is in %s", c.seed, c.rate, c.dir)
	bin, err := filepath.Abs(c.bin)
	if err != nil {
		return err
	}
	if c.bin == "" {
		bin = filepath.Join(c.dir, "bin")
		log.printf("building")
		if err := errors.Join(os.MkdirAll(bin, 0o755), build(ctx, c, bin, "")); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(bin) }()
	}
	w, err := emptyWorld(c, bin, log)
	if err != nil {
		return err
	}
	o := &ordeal{world: w}
	err = o.run(ctx, chosen)
	w.stop()
	w.cluster.stop()
	if written := o.write(); err == nil {
		err = written
	}
	if err != nil {
		return fmt.Errorf("%w\nlogs are in %s; again with: make replicas SEED=%d FLAGS='-only \"%s\"'", err, w.dir, c.seed, c.only)
	}
	_ = os.RemoveAll(w.data())
	return nil
}

func (o *ordeal) run(ctx context.Context, chosen []*trial) error {
	var err error
	if o.cluster, err = newCluster(ctx, filepath.Join(o.dir, "cluster")); err != nil {
		return err
	}
	o.step("three replicas at %s; starting the stack", o.cluster.addressList())
	if err := o.start(ctx); err != nil {
		return err
	}
	o.wide, o.scarce = newLoad(o.client, o.seed, o.rate), newLoad(o.client, o.seed+seedsApart, o.rate/scarceShare)
	o.wide.steadySales, o.wide.steadySeats, o.wide.people, o.wide.atOnceMax, o.wide.holds = 1, wideSeats, widePeople, wideAtOnceMax, &holds{}
	o.scarce.steadySales, o.scarce.steadySeats = drillSales, scarceSeats
	loads := []*load{o.wide, o.scarce}
	arriving, leave := context.WithCancel(ctx)
	defer leave()
	patient, goHome := context.WithCancel(ctx)
	defer goHome()
	for _, l := range loads {
		if err := l.run(arriving, patient); err != nil {
			return err
		}
	}
	if err := await(ctx, drillProgress, "buyers hold seats", func() bool { return o.wide.record.counted("held") >= drillHeldMin }); err != nil {
		return err
	}
	for _, t := range chosen {
		if err := o.suffer(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	leave()
	o.step("%d buyers came; the last finish", o.wide.came.Load()+o.scarce.came.Load())
	for _, l := range loads {
		if err := await(ctx, buyersEnd, "the buyers finish", func() bool { return l.underWay.Load() == 0 }); err != nil {
			return err
		}
	}
	goHome()
	for _, l := range loads {
		l.wg.Wait()
	}
	r := newReport(o.world)
	r.loads = loads
	if err := o.prove(ctx, r, loads...); err != nil {
		return err
	}
	if len(r.Broken) > 0 {
		return errors.New("BROKEN:\n  " + strings.Join(r.Broken, "\n  "))
	}
	o.step("boxoffice verify: every invariant holds; %d acknowledged orders are what buyers were told", r.Acknowledged)
	o.log.printf("\n%s", table(o.rows))
	return nil
}

// suffer has one trial happen and notes what buyers noticed, until a while after it.
func (o *ordeal) suffer(ctx context.Context, t *trial) error {
	if err := pace.Pause(ctx, calm); err != nil {
		return err
	}
	before, err := o.ledgerCounts(ctx)
	if err != nil {
		return err
	}
	node := o.pid(procBoxOffice)
	from := time.Now()
	result, err := t.suffer(ctx, o)
	if err != nil {
		return err
	}
	if err := pace.Pause(ctx, 2*calm); err != nil { // those who were told to come again come
		return err
	}
	to := time.Now()
	if now := o.pid(procBoxOffice); now != node {
		return fmt.Errorf("the box office ended (process %d, now %d): no state of its ledger may do that, and its counts begin anew", node, now)
	}
	after, err := o.ledgerCounts(ctx)
	if err != nil {
		return err
	}
	o.rows = append(o.rows, row{
		Trial: t.name, What: t.what, Seconds: to.Sub(from).Seconds(), Result: result, Effect: effectOf(o.wide.holds.within(from, to), from, to),
		Unanswered: after.unanswered - before.unanswered, Unsent: after.unsent - before.unsent,
	})
	o.step("%s: %s", t.what, result)
	return nil
}

// ledgerCounts are the box office's own.
type ledgerCounts struct{ unanswered, unsent int }

func (o *ordeal) ledgerCounts(ctx context.Context) (ledgerCounts, error) {
	var text []byte
	request := client.Request{Method: http.MethodGet, Path: "/metrics", IsOrganisers: true}
	err := insist(ctx, func(ctx context.Context) error { return o.client.organiser.Do(ctx, request, &text) })
	if err != nil {
		return ledgerCounts{}, fmt.Errorf("read /metrics: %w", err)
	}
	return ledgerCounts{sumOf(text, "boxoffice_ledger_unanswered_total"), sumOf(text, "boxoffice_ledger_refused_total")}, nil
}

// sumOf adds up a counter over its labels.
func sumOf(metrics []byte, name string) (sum int) {
	for _, match := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? (\S+)$`).FindAllSubmatch(metrics, -1) {
		if value, err := strconv.ParseFloat(string(match[1]), 64); err == nil {
			sum += int(value)
		}
	}
	return sum
}

func ordinarily(ctx context.Context, o *ordeal) (string, error) {
	return "", pace.Pause(ctx, 2*o.away())
}

// to has something happen to one replica.
func to(
	pick func(*cluster, context.Context) (*replica, error),
	happens func(context.Context, *ordeal, *replica) (string, error),
) func(context.Context, *ordeal) (string, error) {
	return func(ctx context.Context, o *ordeal) (string, error) {
		r, err := pick(o.cluster, ctx)
		if err != nil {
			return "", err
		}
		return happens(ctx, o, r)
	}
}

func oneKilled(ctx context.Context, o *ordeal, r *replica) (string, error) {
	led := o.cluster.primary() == r
	if err := r.end(syscall.SIGKILL); err != nil {
		return "", err
	}
	elected, err := o.without(ctx, r, led)
	if err != nil {
		return "", err
	}
	back, err := o.bringBack(ctx, r)
	return elected + back, err
}

// without lets the others go on without a replica for a while, under another primary where it led.
func (o *ordeal) without(ctx context.Context, r *replica, led bool) (elected string, err error) {
	if led {
		gone := time.Now()
		if _, err := o.cluster.awaitPrimary(ctx, r); err != nil {
			return "", err
		}
		elected = "another leads after " + rounded(time.Since(gone)) + "; "
	}
	return elected, pace.Pause(ctx, o.away())
}

// bringBack starts a replica that is down, and waits until it has caught up.
func (o *ordeal) bringBack(ctx context.Context, r *replica) (string, error) {
	started := time.Now()
	if err := o.cluster.start(r); err != nil {
		return "", err
	}
	if err := o.cluster.awaitCaughtUp(ctx, r); err != nil {
		return "", err
	}
	return "caught up " + rounded(time.Since(started)) + " after its start", nil
}

func onePaused(ctx context.Context, o *ordeal, r *replica) (string, error) {
	led := o.cluster.primary() == r
	if err := r.signal(sigStop); err != nil {
		return "", err
	}
	defer func() { _ = r.signal(sigContinue) }()
	elected, err := o.without(ctx, r, led)
	if err != nil {
		return "", err
	}
	if err := r.signal(sigContinue); err != nil {
		return "", err
	}
	goesOn := time.Now()
	if err := o.cluster.awaitCaughtUp(ctx, r); err != nil {
		return "", err
	}
	return elected + "caught up " + rounded(time.Since(goesOn)) + " after it went on", nil
}

// logDamaged: the replica finds what is wrong by its checksums and takes it from the others.
func logDamaged(ctx context.Context, o *ordeal, r *replica) (string, error) {
	if err := r.end(syscall.SIGKILL); err != nil {
		return "", err
	}
	needless, newest, said := o.cluster.gauges.checkpointed(), o.cluster.gauges.committed(), r.logSize()
	if err := r.damage(newestPart(newest), logDamage*logEntryBytes, o.rng); err != nil {
		return "", err
	}
	back, err := o.bringBack(ctx, r)
	if err != nil {
		return "", err
	}
	found := lostEntries(r.logSince(said), needless, newest)
	if found == 0 {
		return "", fmt.Errorf("the damage hit no entry that replica %d needs, so this proves nothing; its log is %s", r.index, r.log)
	}
	return fmt.Sprintf("it found %d entries lost that it needs; %s", found, back), nil
}

// newestPart is where the quarter of a log's file begins that has its newest entries: older ones nobody may need any more.
func newestPart(newest uint64) (from int64) {
	slot := int64(newest % logEntries) //nolint:gosec // below 1,024
	return logBegin + min(max(slot-logDamage/2, 0), logEntries-logDamage)*logEntryBytes
}

// lostRE finds an entry whose header is there and whose content is not, case @C of TigerBeetle's journal. Of @B, which it says of junk
// too, the header knows that there never was any.
var lostRE = regexp.MustCompile(`recover_slot: recovered slot=(\d+) label=@C decision=vsr `)

// lostEntries counts the operations, after one and up to another, whose entries a replica found lost when it started.
func lostEntries(log []byte, after, upTo uint64) (n int) {
	lost := map[uint64]bool{}
	for _, match := range lostRE.FindAllSubmatch(log, -1) {
		if slot, err := strconv.ParseUint(string(match[1]), 10, 64); err == nil {
			lost[slot] = true
		}
	}
	for op := after + 1; op <= upTo; op++ {
		if lost[op%logEntries] {
			n++
		}
	}
	return n
}

// fileLost: the replica refuses to start. It is made again from the others, and never formatted anew: a fresh one would not know
// what it has promised.
func fileLost(ctx context.Context, o *ordeal, r *replica) (string, error) {
	said := r.logSize()
	if err := errors.Join(r.end(syscall.SIGKILL), r.damage(0, superblockBytes, o.rng), o.cluster.start(r)); err != nil {
		return "", err
	}
	err := await(ctx, replicaWithin, "the damaged replica refuses to run", func() bool {
		_, up := r.startedAt()
		return !up
	})
	if err != nil {
		return "", err
	}
	if !refusedItsFile(r.logSince(said)) {
		return "", fmt.Errorf("replica %d ended, and not for its file; its log is %s", r.index, r.log)
	}
	began := time.Now()
	if err := errors.Join(os.Remove(r.file), o.cluster.make(ctx, r, "recover")); err != nil {
		return "", err
	}
	made := time.Since(began)
	back, err := o.bringBack(ctx, r)
	return "it refused to start; recover took " + rounded(made) + "; " + back, err
}

// refusedItsFile reports whether a replica ended because of what its file begins with, and not for a port or a flag.
func refusedItsFile(log []byte) bool {
	return bytes.Contains(log, []byte("panic: superblock not found"))
}

// restartedInTurn restarts each only once the one before has caught up.
func restartedInTurn(ctx context.Context, o *ordeal) (string, error) {
	leader, err := o.cluster.leader(ctx)
	if err != nil {
		return "", err
	}
	began := time.Now()
	for i := range replicaCount {
		r := o.cluster.replicas[(leader.index+1+i)%replicaCount]
		if err := r.end(syscall.SIGTERM); err != nil {
			return "", err
		}
		if _, err := o.bringBack(ctx, r); err != nil {
			return "", err
		}
	}
	return "all three within " + rounded(time.Since(began)), nil
}

// sessionEvicted: a cluster evicts who was silent longest, so a node that works is safe as long as it works.
func sessionEvicted(ctx context.Context, o *ordeal) (string, error) {
	return o.evict(ctx, clusterID, strings.Split(o.cluster.addressList(), ","), clientsMax)
}

// quorumLost: one of three must not sell.
func quorumLost(ctx context.Context, o *ordeal) (string, error) {
	leader, err := o.cluster.leader(ctx)
	if err != nil {
		return "", err
	}
	others := []*replica{leader, o.cluster.replicas[(leader.index+1)%replicaCount]}
	for _, r := range others {
		if err := r.end(syscall.SIGKILL); err != nil {
			return "", err
		}
	}
	gone := time.Now()
	if err := pace.Pause(ctx, o.away()); err != nil {
		return "", err
	}
	down := time.Now()
	if n := heldBetween(o.wide.holds.within(gone, down), gone, down); n > 0 {
		return "", fmt.Errorf("BROKEN: %d holds were acknowledged while one replica of three was up", n)
	}
	back := time.Now()
	for _, r := range others {
		if err := o.cluster.start(r); err != nil {
			return "", err
		}
	}
	if err := await(ctx, replicaWithin, "seats are held again", func() bool { return heldBetween(o.wide.holds.within(back, time.Now()), gone, time.Now()) > 0 }); err != nil {
		return "", err
	}
	again := time.Since(back)
	// Those who asked meanwhile are noted once they have an answer: some of them must have it by now.
	asked := 0
	if err := await(ctx, replicaWithin, "who asked without a quorum is answered", func() bool {
		asked = askedBetween(o.wide.holds.within(gone, time.Now()), gone, down)
		return asked > 0
	}); err != nil {
		return "", fmt.Errorf("nobody asked for a seat while there was no quorum, so this proves nothing: %w", err)
	}
	for _, r := range others {
		if err := o.cluster.awaitCaughtUp(ctx, r); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("nobody of those who asked was given a seat meanwhile; the first %s after both were started", rounded(again)), nil
}

// table is what was measured, for people.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| what happened | held | p50 | p99 | longest | longest without a hold | asked again: overloaded, unknown | gave up | ledger: unanswered, not sent | |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		e := r.Effect
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s | %d, %d | %d | %d, %d | %s |\n",
			r.What, e.Held, inWords(e.P50), inWords(e.P99), inWords(e.Max), inWords(e.Silence), e.Overloaded, e.Unknown, e.GaveUp, r.Unanswered, r.Unsent, r.Result)
	}
	return b.String()
}

// write leaves the table beside the logs, also of a run that broke off.
func (o *ordeal) write() error {
	raw, err := json.MarshalIndent(o.rows, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(o.dir, "replicas-report.json"), append(raw, '\n'), 0o644),
		os.WriteFile(filepath.Join(o.dir, "replicas-report.md"), []byte(table(o.rows)), 0o644),
	)
}
