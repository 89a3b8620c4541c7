package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"boxoffice/client"
	"boxoffice/deploy/pgtest"
)

// A drill loses what a box office keeps, one part after the other in the midst of a sale, puts it back from the backup that
// docs/backup.md tells to make, repairs, and holds the end against what buyers were told.
//
// It differs from a fault: something is gone for good. So what was acknowledged may be gone too, and then the drill says what
// it is. Nothing that was paid may be among it.
type drill struct {
	*world
	loads []*load
	// forgotten is when Temporal was put back: checkouts from before may be unknown since.
	forgotten  time.Time
	recoveries []*recovery
}

// A loss is one part that is lost and put back.
type loss struct {
	name string
	what string
	lose func(context.Context, *drill, *load) error
}

// The losses in their sequence: what Temporal forgot keeps its seats for a minute, which in a short drill is over when the
// others are done.
var lossesInTurn = []*loss{
	{"temporal", "Temporal's database", loseTemporal},
	{"database", "the orders database", loseDatabase},
	{"ledger", "the ledger, of which there is one copy", loseLedger},
	{"new-ledger", "the ledger, and there is no backup", loseLedgerWithoutBackup},
}

// notShort is left out of a short drill.
const notShort = "new-ledger"

// The load of a drill.
const (
	drillSales     = 2
	drillHeldMin   = 6  // buyers who hold seats before anything is lost
	drillPaid      = 4  // orders that are paid between two steps
	drillPaidLong  = 20 // in a long drill
	drillProgress  = 3 * time.Minute
	drillBuyersEnd = patience
	// In a short drill: until the last hold has ended.
	drillBuyersEndShort = (holdSeconds + 2) * time.Second
	restoreEvery        = 5 * time.Second
	drillSeats          = 5_000
	drillSeatsLong      = 300 // sold out at the end, so that what is lost is scarce; not before buyers have paid between all steps
)

// runDrill is `chaos drill`.
func runDrill(ctx context.Context, c config) error {
	chosen := slices.DeleteFunc(slices.Clone(lossesInTurn), func(l *loss) bool { return !c.only.MatchString(l.name) || c.short && l.name == notShort })
	if len(chosen) == 0 {
		return errors.New("-only: no loss has such a name; there are temporal, database, ledger and new-ledger")
	}
	log := newJournal(c)
	bin := filepath.Join(c.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	log.printf("drill: seed %d, ledger %s; everything of it is in %s\nbuilding", c.seed, c.ledger, c.dir)
	if err := build(ctx, c, bin, ""); err != nil {
		return err
	}
	d, err := newDrill(ctx, c, bin, log)
	if err == nil {
		err = d.run(ctx, chosen)
	}
	d.end()
	if err != nil {
		return fmt.Errorf("%w\nlogs are in %s/log; again with: make drill SEED=%d LEDGER=%s FLAGS='-only \"%s\"'", err, d.data(), c.seed, c.ledger, c.only)
	}
	log.printf("held, in %.0f s; seed %d", time.Since(d.began).Seconds(), d.seed)
	d.tidy()
	for _, name := range []string{"orders-server", "orders-backups", "temporal-server", "temporal-backups", "ledger-backup", "backup-scripts"} {
		_ = os.RemoveAll(filepath.Join(d.dir, name))
	}
	return nil
}

// newDrill starts two database servers and the stack on them.
func newDrill(ctx context.Context, c config, bin string, log *journal) (*drill, error) {
	c.nodesMax = 1
	w, err := emptyWorld(c, bin, log)
	d := &drill{world: w}
	if err != nil {
		return d, err
	}
	postgres, err := pgtest.Installation()
	if err != nil {
		return d, err
	}
	if missing := missingTool(c.backupTool, postgres); missing != "" {
		return d, errors.New("-backup " + c.backupTool + ": " + missing)
	}
	script, err := copyBackupScripts(c.repo, c.dir)
	if err != nil {
		return d, err
	}
	var group sync.WaitGroup
	var failed [2]error
	for i, s := range []struct {
		name, user string
		into       **databaseServer
	}{{"orders", "boxoffice", &d.ordersServer}, {"temporal", "temporal", &d.temporalServer}} {
		group.Go(func() {
			*s.into, failed[i] = newDatabaseServer(ctx, s.name, s.user, postgres, c.backupTool, c.dir, script)
		})
	}
	group.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return d, err
	}
	d.step("two Postgres servers archive their logs with %s; starting the stack", c.backupTool)
	return d, d.start(ctx)
}

func (d *drill) end() {
	d.stop()
	d.ordersServer.stop()
	d.temporalServer.stop()
}

// run has one loss after the other, each with buyers and a proof of its own. A short drill has them all among the same buyers,
// and one proof.
func (d *drill) run(ctx context.Context, chosen []*loss) error {
	rounds := [][]*loss{chosen}
	if !d.short {
		rounds = slices.Collect(slices.Chunk(chosen, 1))
	}
	for i, round := range rounds {
		if err := d.suffer(ctx, round, uint64(i)); err != nil {
			return err
		}
		if err := d.prove(ctx); err != nil {
			return err
		}
	}
	return nil
}

// suffer has buyers come, and parts lost meanwhile.
func (d *drill) suffer(ctx context.Context, losses []*loss, nth uint64) error {
	l := newLoad(d.client, d.seed+nth*seedsApart, d.rate)
	l.steadySales, l.steadySeats = drillSales, drillSeatsLong
	if d.short {
		l.steadySales, l.steadySeats = 1, drillSeats
	}
	d.loads = append(d.loads, l)
	arriving, leave := context.WithCancel(ctx)
	defer leave()
	patient, goHome := context.WithCancel(ctx)
	defer goHome()
	if err := l.run(arriving, patient); err != nil {
		return err
	}
	if err := await(ctx, drillProgress, "buyers hold seats", func() bool { return l.record.counted("held") >= drillHeldMin }); err != nil {
		return err
	}
	for _, loss := range losses {
		d.log.printf("\n%s is lost", loss.what)
		if err := d.awaitPaid(ctx, l); err != nil {
			return err
		}
		if err := loss.lose(ctx, d, l); err != nil {
			return fmt.Errorf("%s: %w", loss.name, err)
		}
	}
	leave()
	d.step("%d buyers came; the last %d finish or go home", l.came.Load(), l.underWay.Load())
	waits := drillBuyersEnd
	if d.short {
		waits = drillBuyersEndShort
	}
	err := await(ctx, waits, "the buyers finish", func() bool { return l.underWay.Load() == 0 })
	if !errors.Is(err, errDidNotHappen) && err != nil {
		return err
	}
	goHome() // who asks for what is forgotten would ask for long
	l.wg.Wait()
	return nil
}

// awaitPaid lets the sale go on until more orders are paid.
func (d *drill) awaitPaid(ctx context.Context, l *load) error {
	more := drillPaidLong
	if d.short {
		more = drillPaid
	}
	want := l.record.counted("seen as paid") + more
	return await(ctx, drillProgress, "buyers pay", func() bool { return l.record.counted("seen as paid") >= want })
}

// backUp makes a backup of a server in the midst of the sale, and returns a moment that is in it and after which buyers went
// on.
func (d *drill) backUp(ctx context.Context, l *load, s *databaseServer) (moment string, at time.Time, err error) {
	began := time.Now()
	if err := s.backup(ctx, "backup"); err != nil {
		return "", at, err
	}
	d.step("a base backup of %s was made in %.1f s while buyers bought", s.name, time.Since(began).Seconds())
	if err := d.awaitPaid(ctx, l); err != nil {
		return "", at, err
	}
	if moment, err = s.now(ctx); err != nil {
		return "", at, err
	}
	at = time.Now()
	if err := d.awaitPaid(ctx, l); err != nil { // a moment is found by what was committed after it
		return "", at, err
	}
	if err := s.archiveAll(ctx); err != nil {
		return "", at, err
	}
	return moment, at, d.awaitPaid(ctx, l)
}

// A recovery is how long a part was away, and how old that was which came back.
type recovery struct {
	of                          string
	age                         string // of what came back
	lost                        time.Time
	putBack, sellsAgain, mended time.Duration // since it was lost
}

// isLost begins to measure. at is the moment of the backup; zero: there is none.
func (d *drill) isLost(of string, at time.Time) *recovery {
	r := &recovery{of: of, lost: time.Now(), age: "nothing: it began empty"}
	if !at.IsZero() {
		r.age = fmt.Sprintf("what it was %.1f s before", r.lost.Sub(at).Seconds())
	}
	d.recoveries = append(d.recoveries, r)
	return r
}

// isPutBack notes that what was lost is there again, as far as it was backed up.
func (r *recovery) isPutBack() { r.putBack = time.Since(r.lost) }

// isMended notes that what the other parts know has been put in again.
func (r *recovery) isMended() { r.mended = time.Since(r.lost) }

// awaitSales waits until somebody gets seats again.
func (r *recovery) awaitSales(ctx context.Context, l *load) error {
	before := l.record.counted("held")
	err := await(ctx, drillProgress, "buyers hold seats again", func() bool { return l.record.counted("held") > before })
	r.sellsAgain = time.Since(r.lost)
	return err
}

func (r *recovery) String() string {
	return fmt.Sprintf("%s: came back as %s; put back after %.1f s, sells again after %.1f s, repaired after %.1f s",
		r.of, r.age, r.putBack.Seconds(), r.sellsAgain.Seconds(), r.mended.Seconds())
}

// recorded are the orders on record.
func (d *drill) recorded(ctx context.Context) (map[string]bool, error) {
	list, err := answerIn[[]string](ctx, d.ordersServer, "boxoffice", `SELECT coalesce(array_agg(replace(id::text, '-', '')), '{}') FROM orders`)
	all := make(map[string]bool, len(list))
	for _, id := range list {
		all[id] = true
	}
	return all, err
}

// loseDatabase loses the orders database and puts it back to a moment. The box office runs on, as docs/operations.md says.
func loseDatabase(ctx context.Context, d *drill, l *load) error {
	moment, at, err := d.backUp(ctx, l, d.ordersServer)
	if err != nil {
		return err
	}
	before, err := d.recorded(ctx)
	if err != nil {
		return err
	}
	r := d.isLost("the orders database", at)
	if err := d.ordersServer.lose(ctx); err != nil {
		return err
	}
	d.step("the orders database is gone: killed, its files removed; buyers get 503 and come again")
	if err := d.ordersServer.putBack(ctx, moment); err != nil {
		return err
	}
	r.isPutBack()
	if err := r.awaitSales(ctx, l); err != nil {
		return err
	}
	after, err := d.recorded(ctx)
	if err != nil {
		return err
	}
	forgotten := 0
	for id := range before {
		if !after[id] {
			forgotten++
		}
	}
	d.step("put back to %s: at least %d of %d orders that were on record are not", moment, forgotten, len(before))
	if forgotten == 0 {
		return errors.New("the restored database has lost nothing: the drill shows nothing")
	}
	if out, err := d.command(ctx, "migrate"); err != nil {
		return fmt.Errorf("boxoffice migrate: %w\n%s", err, out)
	}
	restored, nameless, err := d.restoreOrders(ctx, l.allSales())
	if err != nil {
		return err
	}
	r.isMended()
	d.step("boxoffice migrate, then restore-orders --apply: %d orders are on record again, %d without the buyer's address", restored, nameless)
	return nil
}

// restoredOrders is the part of what restore-orders prints with --json that matters here.
type restoredOrders struct {
	Sale   string         `json:"sale"`
	Counts map[string]int `json:"counts"`
	Items  []struct {
		Order, Outcome, Why string
		Missing             []string
	} `json:"items"`
}

// restoreOrders repeats the command until it has restored all that it found lost.
func (d *drill) restoreOrders(ctx context.Context, sales []string) (restored, nameless int, err error) {
	for deadline := time.Now().Add(restWithin); ; {
		cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "boxoffice"), append([]string{"restore-orders", "--apply", "--json"}, sales...)...)
		cmd.Env = environ(d.env)
		var problems strings.Builder
		cmd.Stderr = &problems
		out, runErr := cmd.Output()
		var reports []restoredOrders
		if len(out) > 0 {
			if err := json.Unmarshal(out, &reports); err != nil {
				return 0, 0, fmt.Errorf("boxoffice restore-orders --json: %w\n%s", err, out)
			}
		}
		more := runErr != nil
		for _, r := range reports {
			restored += r.Counts["restored"]
			more = more || r.Counts["in_flight"] > 0
			for _, item := range r.Items {
				if item.Outcome == "restored" && len(item.Missing) > 0 {
					nameless++
				}
			}
		}
		if !more {
			return restored, nameless, nil
		}
		if time.Now().After(deadline) {
			return restored, nameless, fmt.Errorf("boxoffice restore-orders finds lost records after %s: %w\n%s%s", restWithin, runErr, out, problems.String())
		}
	}
}

// loseTemporal loses Temporal's database and puts it back to a moment. Nothing may run on that remembers what came after:
// Temporal's servers and the nodes of the box office start anew.
func loseTemporal(ctx context.Context, d *drill, l *load) error {
	moment, at, err := d.backUp(ctx, l, d.temporalServer)
	if err != nil {
		return err
	}
	r := d.isLost("Temporal's database", at)
	if err := d.temporalServer.lose(ctx); err != nil {
		return err
	}
	if _, err := d.kill(procTemporal); err != nil {
		d.step("Temporal's server had ended by itself")
	}
	d.step("Temporal's database is gone: killed, its files removed")
	if err := d.temporalServer.putBack(ctx, moment); err != nil {
		return err
	}
	r.isPutBack()
	for _, name := range []string{procTemporal, procBoxOffice} {
		before, err := d.kill(name)
		if err != nil && name == procBoxOffice {
			return err
		}
		if err := d.awaitBack(ctx, name, before); err != nil {
			return err
		}
	}
	d.forgotten, d.someForgotten = time.Now(), true
	d.step("put back to %s: Temporal and the box office were started anew on it", moment)
	if err := r.awaitSales(ctx, l); err != nil {
		return err
	}
	r.isMended() // the scheduled audit does what is left to do
	return d.awaitPaid(ctx, l)
}

// ledgerFiles is what a backup of the ledger copies, and which process writes it.
func (d *drill) ledgerFiles() (path, process string) {
	if d.config.ledger == ledgerTigerBeetle {
		return filepath.Join(d.data(), "tigerbeetle", "0_0.tigerbeetle"), procTigerBeetle
	}
	return filepath.Join(d.data(), "ledger"), procBoxOffice
}

// copyLedger calls the script that operators have.
func (d *drill) copyLedger(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, scriptWithin)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(d.repo, "deploy", "backup", "ledger"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("deploy/backup/ledger %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// loseLedger loses the only copy of the ledger, and with it the machine, and puts back a copy of its files.
func loseLedger(ctx context.Context, d *drill, l *load) error {
	path, process := d.ledgerFiles()
	copied, at := filepath.Join(d.dir, "ledger-backup"), time.Now()
	if err := d.copyLedger(ctx, path, copied, fmt.Sprint(d.pid(process))); err != nil {
		return err
	}
	d.step("the ledger's files were copied while buyers bought; %s stood still meanwhile", process)
	if err := errors.Join(d.awaitPaid(ctx, l), d.awaitPaid(ctx, l)); err != nil {
		return err
	}
	r := d.isLost("the ledger", at)
	if err := errors.Join(d.crash(ctx), os.RemoveAll(path)); err != nil {
		return err
	}
	d.step("the machine is gone, and the ledger's files with it; nothing may sell until the ledger is brought up to date")
	if err := d.copyLedger(ctx, copied, path); err != nil {
		return err
	}
	r.isPutBack()
	return d.rebookAndGoOn(ctx, l, r)
}

// loseLedgerWithoutBackup begins with an empty ledger. For a cluster of one replica there is nothing else; a replica of a larger
// one is recovered, and never formatted anew.
func loseLedgerWithoutBackup(ctx context.Context, d *drill, l *load) error {
	path, _ := d.ledgerFiles()
	if err := d.awaitPaid(ctx, l); err != nil {
		return err
	}
	r := d.isLost("the ledger without a backup", time.Time{})
	if err := errors.Join(d.crash(ctx), os.RemoveAll(path)); err != nil {
		return err
	}
	d.step("the machine is gone, and the ledger's files with it, of which there is no copy")
	if d.config.ledger == ledgerTigerBeetle {
		out, err := exec.CommandContext(ctx, "tigerbeetle", "format", "--cluster=0", "--replica=0", "--replica-count=1", "--development", path).CombinedOutput()
		if err != nil {
			return fmt.Errorf("tigerbeetle format: %w\n%s", err, out)
		}
	}
	r.isPutBack()
	return d.rebookAndGoOn(ctx, l, r)
}

// crash kills everything but the databases, which are on machines of their own.
func (d *drill) crash(ctx context.Context) error {
	pids := d.pids()
	_ = d.devstack.Process.Kill() // what it runs dies with it (PR_SET_PDEATHSIG)
	d.ended <- <-d.ended          // stop asks too
	return await(ctx, stopWithin, "all processes end", func() bool {
		for _, pid := range pids {
			if pid != 0 && syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
}

func takesConnections(ctx context.Context, address string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// rebookedLine is what rebook-orders says of a sale to which it booked something.
var rebookedLine = regexp.MustCompile(`(\d+) orders on record; booked: (\d+) again, (\d+) from their holds, (\d+) perks; (\d+) refunded`)

// rebookAndGoOn brings the ledger up to date while nothing sells, and starts the stack again.
func (d *drill) rebookAndGoOn(ctx context.Context, l *load, r *recovery) error {
	if err := d.rebook(ctx); err != nil {
		return err
	}
	r.isMended()
	if err := d.launchAgain(ctx); err != nil {
		return err
	}
	d.step("everything was started again")
	if err := r.awaitSales(ctx, l); err != nil {
		return err
	}
	return d.awaitPaid(ctx, l)
}

// rebook brings the ledger up to date, on a TigerBeetle that runs only meanwhile: the stack starts its own.
func (d *drill) rebook(ctx context.Context) error {
	if d.config.ledger == ledgerTigerBeetle {
		stop, err := d.startTigerBeetle(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	for _, flags := range [][]string{nil, {"--apply"}} {
		ctx, cancel := context.WithTimeout(ctx, restWithin)
		out, err := d.command(ctx, append([]string{"rebook-orders"}, flags...)...)
		cancel()
		if err != nil {
			return fmt.Errorf("boxoffice rebook-orders: %w\n%s", err, out)
		}
		if flags == nil {
			continue
		}
		var sum [5]int
		for _, found := range rebookedLine.FindAllStringSubmatch(out, -1) {
			for i := range sum {
				var n int
				_, _ = fmt.Sscan(found[i+1], &n)
				sum[i] += n
			}
		}
		if sum[1]+sum[2] == 0 {
			return fmt.Errorf("the ledger has lost nothing: the drill shows nothing\n%s", out)
		}
		d.step("boxoffice rebook-orders --apply: booked %d again, %d from holds that came back, %d perks; freed the seats of %d refunded", sum[1], sum[2], sum[3], sum[4])
	}
	return nil
}

// startTigerBeetle runs the replica alone, as the stack does.
func (d *drill) startTigerBeetle(ctx context.Context) (stop func(), err error) {
	path, _ := d.ledgerFiles()
	address := d.env["TIGERBEETLE_ADDRESS"]
	cmd := exec.CommandContext(ctx, "tigerbeetle", "start", "--addresses="+address, "--development", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if err := await(ctx, backWithin, "TigerBeetle takes connections", func() bool { return takesConnections(ctx, address) }); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// prove waits for rest, asks the audit, and holds what buyers were told against what is.
func (d *drill) prove(ctx context.Context) error {
	if _, err := d.killAndAwait(ctx, procMockpay); err != nil { // it then sends at once what it had put off
		return err
	}
	var sales []string
	for _, l := range d.loads {
		sales = append(sales, l.allSales()...)
	}
	reports, err := d.restoreUntilRest(ctx, sales)
	if err != nil {
		return err
	}
	if broken := findings(reports); len(broken) > 0 {
		return fmt.Errorf("not at rest after %s: %s", restWithin, strings.Join(broken, "\n"))
	}
	v := d.judge(ctx)
	if len(v.broken) > 0 {
		return fmt.Errorf("%d acknowledged orders are neither there nor refunded nor lost as was said:\n  %s", len(v.broken), strings.Join(v.broken, "\n  "))
	}
	if err := d.verify(ctx, newReport(d.world)); err != nil {
		return err
	}
	d.step("at rest; boxoffice verify: every invariant holds")
	d.log.printf("\nwhat was lost, and what became of it:")
	for _, r := range d.recoveries {
		d.log.printf("  %s", r)
	}
	for _, line := range v.lines() {
		d.log.printf("  %s", line)
	}
	return nil
}

// restoreUntilRest runs restore-orders as often as the audit names a lost record: what was sold just before the loss is at
// first left to its checkout.
func (d *drill) restoreUntilRest(ctx context.Context, sales []string) (reports []client.AuditReport, err error) {
	again := 0
	for deadline := time.Now().Add(restWithin); ; {
		restored, _, err := d.restoreOrders(ctx, sales)
		if err != nil {
			return nil, err
		}
		again += restored
		reports, err = d.awaitRest(ctx, sales, nil, restoreEvery)
		if err == nil && len(findings(reports)) == 0 || time.Now().After(deadline) {
			d.step("restore-orders --apply again, as the page says: %d orders more", again)
			return reports, err
		}
	}
}

// A judgement is what became of what buyers were told.
type judgement struct {
	asked     int
	paid      int // with the tickets that were shown
	refunded  int
	ended     int      // without money
	forgotten int      // never paid, and unknown now
	otherwise []string // what an answer said is not so any more, without harm to anybody's money
	broken    []string
}

func (v *judgement) lines() []string {
	lines := []string{
		fmt.Sprintf("of %d acknowledged orders %d are paid, with the tickets that were shown, %d are refunded, %d ended without money", v.asked, v.paid, v.refunded, v.ended),
		fmt.Sprintf("%d checkouts are unknown since Temporal was put back: nobody had paid for them, and their seats are free", v.forgotten),
	}
	return append(lines, v.otherwise...)
}

// judge asks for every order that was ever acknowledged.
func (d *drill) judge(ctx context.Context) *judgement {
	v := &judgement{}
	var all []acknowledged
	for _, l := range d.loads {
		v.broken = append(v.broken, l.record.contradictions()...)
		all = append(all, l.record.all()...)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, a := range all {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			var now client.OrderView
			err := insist(ctx, func(ctx context.Context) (err error) {
				now, err = d.client.order(ctx, d.client.fronts[0], a.CheckoutView)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			v.add(&a, a.at.Before(d.forgotten), &now, err)
		})
	}
	group.Wait()
	slices.Sort(v.otherwise)
	return v
}

// add judges one order: what is there now, or the error with which it was not found. Temporal may have forgotten it.
func (v *judgement) add(a *acknowledged, mayBeForgotten bool, now *client.OrderView, err error) {
	v.asked++
	name := "order " + a.Order
	switch {
	case err != nil && client.CodeOf(err) == "not_found" && mayBeForgotten && !a.paid && !a.captured && !a.refunding:
		v.forgotten++
		return
	case err != nil:
		v.broken = append(v.broken, fmt.Sprintf("%s cannot be read: %v", name, err))
		return
	}
	what := a.violation(*now)
	switch {
	case what == "":
	case mayBeForgotten && a.canceled && !a.paid && now.Status != "held" && (!a.captured || now.Status == "paid"):
		v.otherwise = append(v.otherwise, fmt.Sprintf("%s: its cancel was forgotten, and it is %s", name, now.Status))
	case mayBeForgotten && a.refunding && now.Status == "paid" && len(now.Tickets) > 0:
		v.otherwise = append(v.otherwise, name+": the organiser's refund was forgotten before it was on record, and has to be asked for again")
	default:
		v.broken = append(v.broken, name+" "+what)
	}
	switch now.Status {
	case "paid":
		v.paid++
	case "refunded":
		v.refunded++
	default:
		v.ended++
	}
}
