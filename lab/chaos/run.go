package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"boxoffice/client"
	"boxoffice/pace"
)

// Bounds of the end of a run.
const (
	calm        = time.Second     // between two faults: what the last one left shows
	buyersEnd   = 2 * time.Minute // the buyers that are there finish
	restWithin  = 4 * time.Minute // every workflow ends, every webhook is delivered
	auditEvery  = 2 * time.Second
	tellEvery   = 15 * time.Second
	verifyLimit = 3 * time.Minute
	replayLimit = 6 * time.Minute // its own bound is below
)

// run is `chaos run`.
func run(ctx context.Context, c config) error {
	log := newJournal(c)
	log.printf("chaos: seed %d, ledger %s, %s\n       everything of this run is in %s\n", c.seed, c.ledger, c.howLong(), c.dir)
	bin := filepath.Join(c.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	log.printf("building with failpoints; starting the stack")
	if err := build(ctx, c, bin, ""); err != nil {
		return err
	}
	w, err := newWorld(ctx, c, bin, log)
	if err != nil {
		return err
	}
	r := newReport(w)
	err = w.rounds(ctx, r)
	if err != nil {
		r.Broken = append(r.Broken, err.Error())
	}
	err = r.conclude(log)
	w.evidence = err != nil
	w.stop()
	if err == nil {
		w.tidy()
	}
	return err
}

// rounds are faults and their proof, as often as was wished. The first promise that is broken ends them.
func (w *world) rounds(ctx context.Context, r *report) error {
	rounds := make([][]fault, w.config.rounds)
	for i := range rounds {
		rounds[i] = w.schedule(i)
	}
	if w.wayBack {
		rounds = append(rounds, []fault{{groupParts, "everything stops and starts, Temporal on its own store", nil, onStockPersistence}})
	}
	for i, faults := range rounds {
		if len(rounds) > 1 {
			w.log.printf("\nround %d of %d", i+1, len(rounds))
		}
		l := newLoad(w.client, w.seed+uint64(i)*seedsApart, w.rate)
		r.loads = append(r.loads, l)
		if err := w.endureFaults(ctx, r, l, faults); err != nil {
			return err
		}
		if err := w.prove(ctx, r, l); err != nil {
			return err
		}
		if len(r.Broken) > 0 {
			break
		}
	}
	return w.replay(ctx, r)
}

// seedsApart keeps the sales of rounds apart, whose names have the load's seed in them.
const seedsApart = 1_000_000_000

// onStockPersistence is the way back from pgpipe: the same data, with whatever is open in it.
func onStockPersistence(ctx context.Context, w *world, _ *load) (string, error) {
	began := time.Now()
	if err := w.startAgain(ctx, "--stock-persistence"); err != nil {
		return "", err
	}
	return "ready after " + rounded(time.Since(began)), nil
}

// tidy leaves report and logs of a run that passed. The state of one that failed is evidence and stays.
func (w *world) tidy() {
	for _, name := range []string{"postgres", "tigerbeetle", "ledger", "mockpay"} {
		_ = os.RemoveAll(filepath.Join(w.data(), name))
	}
	_ = os.RemoveAll(w.bin)
}

func (c config) howLong() string {
	text := "every fault once"
	if c.seconds > 0 {
		text = fmt.Sprintf("%d s of faults", c.seconds)
	}
	if c.rounds > 1 {
		text += fmt.Sprintf(", %d rounds", c.rounds)
	}
	return text
}

// endureFaults causes one fault after the other under load.
func (w *world) endureFaults(ctx context.Context, r *report, l *load, faults []fault) error {
	arriving, leave := context.WithCancel(ctx)
	defer leave()
	patient, goHome := context.WithCancel(ctx)
	defer goHome()
	if err := w.client.misbehave(ctx, w.mischief()); err != nil {
		return err
	}
	if err := l.run(arriving, patient); err != nil {
		return err
	}
	if err := await(ctx, time.Minute, "buyers hold seats", func() bool { return l.record.counted("held") > 5 }); err != nil {
		return err
	}
	w.log.printf("\n%-52s %7s %9s  %s", "fault", "after", "under way", "result")
	started := time.Now()
	for _, f := range faults {
		if w.seconds > 0 && time.Since(started) > time.Duration(w.seconds)*time.Second {
			break
		}
		r.add(w.cause(ctx, f, l, started))
		if err := pace.Pause(ctx, calm); err != nil {
			return err
		}
		w.watchForgeries(ctx, r)
	}
	leave()
	w.log.printf("\nfaults are over; %d checkouts are under way", l.underWay.Load())
	if err := w.heal(ctx); err != nil {
		return err
	}
	if err := await(ctx, buyersEnd, "the buyers finish", func() bool { return l.underWay.Load() == 0 }); err != nil {
		return err
	}
	goHome()
	l.wg.Wait()
	return nil
}

// schedule is the seed's sequence of faults, for each round.
func (w *world) schedule(round int) []fault {
	all := slices.DeleteFunc(faults(w), func(f fault) bool { return !w.only.MatchString(f.name) && !w.only.MatchString(f.group) })
	rng := rand.New(rand.NewPCG(w.seed, 3+uint64(round)<<32))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return inTurn(all)
}

// cause runs one fault and says what became of it.
func (w *world) cause(ctx context.Context, f fault, l *load, started time.Time) entry {
	e := entry{Group: f.group, Fault: f.name, After: time.Since(started).Seconds(), UnderWay: l.underWay.Load()}
	if f.unless != nil {
		e.Skipped = f.unless(w)
	}
	begun := time.Now()
	if e.Skipped == "" {
		text, err := f.hurt(ctx, w, l)
		e.Result = text
		if errors.Is(err, errDidNotHappen) && !strings.Contains(err.Error(), "back") {
			e.Result = "not reached: " + err.Error()
			e.Missed = true
		} else if err != nil {
			e.Result, e.Broken = err.Error(), true
		}
	}
	e.Took = time.Since(begun).Seconds()
	w.log.entry(e)
	return e
}

// watchForgeries asks MockPay, which forges on its own, whether any was accepted. It may be down just now.
func (w *world) watchForgeries(ctx context.Context, r *report) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if n, err := w.client.wronglyAccepted(ctx); err == nil && n > 0 {
		r.Broken = append(r.Broken, fmt.Sprintf("%d forged or stale webhooks of MockPay were accepted", n))
	}
}

// heal ends every fault that could still be there.
func (w *world) heal(ctx context.Context) error {
	w.disarmAll()
	for _, pid := range w.pids() {
		if pid != 0 {
			signalAll(pid, sigContinue)
		}
	}
	if err := w.links.cureAll(); err != nil {
		return err
	}
	if err := w.client.misbehave(ctx, nil); err != nil {
		return fmt.Errorf("end MockPay's mischief: %w", err)
	}
	if err := w.awaitAllBack(ctx); err != nil {
		return err
	}
	return w.readers.behave(ctx)
}

// prove waits until everything is at rest, and holds everything against everything.
func (w *world) prove(ctx context.Context, r *report, loads ...*load) error {
	healed := time.Now()
	// A MockPay that starts sends at once what it had put off for minutes.
	if _, err := w.killAndAwait(ctx, procMockpay); err != nil {
		return err
	}
	var sales, calledOff []string
	for _, l := range loads {
		sales, calledOff = append(sales, l.allSales()...), append(calledOff, l.record.salesCalledOff()...)
	}
	reports, err := w.awaitRest(ctx, sales, calledOff, restWithin)
	if err != nil {
		return err
	}
	r.RestAfter = time.Since(healed).Seconds()
	r.Broken = append(r.Broken, findings(reports)...)
	var violations []string
	r.Acknowledged = 0
	for _, l := range r.loads { // a later round must not undo what an earlier one was told
		orders, found := l.record.check(ctx, w.client)
		r.Acknowledged += orders
		violations = append(violations, found...)
	}
	r.Broken = append(r.Broken, violations...)
	w.log.printf("at rest after %.0f s; %d acknowledged orders asked for, %d contradictions", r.RestAfter, r.Acknowledged, len(violations))
	if err := w.proveReaders(ctx, r); err != nil {
		return err
	}
	return w.verify(ctx, r)
}

// awaitRest waits until no workflow is open and nothing is broken, as long as that may take, and returns the last audits.
func (w *world) awaitRest(ctx context.Context, sales, calledOff []string, within time.Duration) (reports []client.AuditReport, err error) {
	deadline := time.Now().Add(within)
	for told := time.Now(); ; {
		var resting bool
		reports, resting, err = w.auditAll(ctx, sales)
		if err == nil && resting {
			resting, err = w.allCalledOff(ctx, calledOff)
		}
		if err == nil && resting {
			undelivered, healthErr := w.client.mockpay.Undelivered(ctx)
			resting, err = healthErr == nil && (undelivered == 0 || w.someForgotten), healthErr
		}
		if err == nil && resting || time.Now().After(deadline) {
			return reports, err
		}
		if time.Since(told) > tellEvery {
			told = time.Now()
			w.log.printf("waiting for rest: %s", waitsFor(reports, err))
			if err != nil {
				w.log.printf("    %s", w.client.whatIsNotReady(ctx))
			}
		}
		if err := pace.Pause(ctx, auditEvery); err != nil {
			return reports, err
		}
	}
}

// allCalledOff reports whether the cancellation of every sale that was canceled is over.
func (w *world) allCalledOff(ctx context.Context, sales []string) (bool, error) {
	for _, sale := range sales {
		if finished, err := w.client.calledOff(ctx, sale); err != nil || !finished {
			return false, err
		}
	}
	return true, nil
}

// waitsFor says what is not at rest.
func waitsFor(reports []client.AuditReport, err error) string {
	if err != nil {
		return err.Error()
	}
	var workflows int64
	for _, r := range reports {
		workflows += open(r)
	}
	if list := findings(reports); len(list) > 0 {
		return fmt.Sprintf("%d workflows are open; %s", workflows, list[0])
	}
	return fmt.Sprintf("%d workflows are open", workflows)
}

func (w *world) auditAll(ctx context.Context, sales []string) (reports []client.AuditReport, resting bool, err error) {
	resting = true
	for _, sale := range sales {
		report, err := w.client.auditor.AuditSale(ctx, sale)
		if err != nil {
			return nil, false, fmt.Errorf("audit of sale %s: %w", sale, err)
		}
		resting = resting && hasSettled(report)
		reports = append(reports, report)
	}
	return reports, resting, nil
}

// hasSettled reports whether nothing moves, and nothing is broken.
func hasSettled(r client.AuditReport) bool { return isAtRest(r) && !says(r, "broken") }

// isAtRest reports whether nothing moves.
func isAtRest(r client.AuditReport) bool { return !says(r, "in_flight") && open(r) == 0 }

// says looks at each result: where one warns, the verdict of all does not say that another is in flight.
func says(r client.AuditReport, verdict string) bool {
	return r.Verdict == verdict || slices.ContainsFunc(r.Results, func(result client.AuditResult) bool { return result.Verdict == verdict })
}

// open is how many workflows are.
func open(r client.AuditReport) (n int64) {
	for _, result := range r.Results {
		if result.ID == "L" {
			n += result.Left.Value
		}
	}
	return n
}

// A warning of these is what the load does on purpose: a second capture that was given back.
var expectedWarnings = []string{"I5"}

// findings are what the audits have against the run.
func findings(reports []client.AuditReport) []string {
	var list []string
	for _, report := range reports {
		for _, result := range report.Results {
			if result.Verdict == "ok" || result.Verdict == "warning" && slices.Contains(expectedWarnings, result.ID) {
				continue
			}
			text := fmt.Sprintf("%s (%s) in sale %s is %s: %s", result.ID, result.Subject, report.Sale, result.Verdict, result.Says)
			for _, o := range result.Offenders[:min(3, len(result.Offenders))] {
				text += fmt.Sprintf("\n    %s: %s", o.ID, o.What)
			}
			list = append(list, text)
		}
	}
	return list
}

// replay holds every history that the run left in Temporal against the workflow code. One that does not replay is left
// beside the report: it would have stopped its checkout for good on the next node that does not have it in its cache.
func (w *world) replay(ctx context.Context, r *report) error {
	ctx, cancel := context.WithTimeout(ctx, replayLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "replay"), "-failed", w.dir)
	cmd.Env = environ(w.env)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	r.Replayed = strings.TrimSpace(string(out))
	w.log.printf("%s", r.Replayed)
	if err != nil {
		return fmt.Errorf("replay of the histories: %w\n%s", err, problems.String())
	}
	return nil
}

// verify runs the product's own command: it is what an operator would believe.
func (w *world) verify(ctx context.Context, r *report) error {
	ctx, cancel := context.WithTimeout(ctx, verifyLimit)
	defer cancel()
	out, err := w.command(ctx, "verify", "-wait", "30s")
	if writeErr := os.WriteFile(filepath.Join(w.dir, "verify.txt"), []byte(out), 0o644); writeErr != nil {
		return writeErr
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		return fmt.Errorf("boxoffice verify: %w\n%s", err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
	r.Verified++
	return nil
}
