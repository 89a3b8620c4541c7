package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"boxoffice/pace"

	server "boxoffice/mockpay"
)

const (
	sigStop     = syscall.SIGSTOP
	sigContinue = syscall.SIGCONT
)

// signalAll signals a process and all that descend from it, and returns them.
func signalAll(pid int, s syscall.Signal) []int {
	if pid == 0 {
		return nil
	}
	all := family(pid)
	signalEach(all, s)
	return all
}

func signalEach(pids []int, s syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, s) // it may have ended
	}
}

// pids of all processes.
func (w *world) pids() map[string]int {
	all := map[string]int{}
	for _, name := range w.processes() {
		all[name] = w.pid(name)
	}
	return all
}

// awaitDeath waits until one of the processes is another than before, and names it.
func (w *world) awaitDeath(ctx context.Context, before map[string]int) (name string, err error) {
	err = await(ctx, backWithin, "a process dies", func() bool {
		for n, pid := range w.pids() {
			if before[n] != 0 && pid != before[n] {
				name = n
				return true
			}
		}
		return false
	})
	return name, err
}

// ordersAway takes the orders database's address away, and its alone, as soon as MockPay has taken money.
func ordersAway(ctx context.Context, w *world, l *load) (string, error) {
	l.want(planPay, 20)
	k, d := w.links.byName[toOrders], w.durations().ordersAway
	k.cut()
	before := l.record.counted("captured")
	err := pace.Pause(ctx, d)
	captured := l.record.counted("captured") - before
	if cured := k.cure(); err == nil {
		err = cured
	}
	if err != nil {
		return "", err
	}
	if err := w.awaitAllBack(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("for %s, %d captured meanwhile", d, captured), nil
}

// commitLost swallows the answers to n commits.
func commitLost(name string, commits int64) func(context.Context, *world, *load) (string, error) {
	return func(ctx context.Context, w *world, l *load) (string, error) {
		l.want(planPay, 10)
		k := w.links.byName[name]
		added, err := k.add(toxic{lostCommitType, "downstream", map[string]any{"lose": commits}})
		if err != nil {
			return "", err
		}
		lost := &added.(*lostCommit).lost
		err = await(ctx, failpointWithin, "commits come by", func() bool { return lost.Load() >= commits })
		k.proxy.Toxics.ResetToxics(ctx)
		if err != nil && lost.Load() == 0 {
			return "", err
		}
		return fmt.Sprintf("%d answers swallowed", lost.Load()), w.awaitAllBack(ctx)
	}
}

func tigerBeetleStopped(ctx context.Context, w *world, _ *load) (string, error) {
	return w.freeze(ctx, procTigerBeetle, w.durations().ledgerSilent)
}

func tigerBeetleSilent(ctx context.Context, w *world, _ *load) (string, error) {
	k, d := w.links.byName[toTigerBeetle], w.durations().ledgerSilent
	if err := k.poison(toxic{"timeout", "downstream", map[string]any{"timeout": 0}}); err != nil {
		return "", err
	}
	err := pace.Pause(ctx, d)
	if cured := k.cure(); err == nil {
		err = cured
	}
	if err != nil {
		return "", err
	}
	healed := time.Now()
	if err := w.awaitAllBack(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("for %s, ready after %s", d, rounded(time.Since(healed))), nil
}

const sessionTimeout = 30 * time.Second

// sessionsEvicted opens more sessions than TigerBeetle keeps.
func sessionsEvicted(ctx context.Context, w *world, _ *load) (string, error) {
	return w.evict(ctx, "0", []string{w.env["TIGERBEETLE_ADDRESS"]}, clientsMax)
}

// evict has so many sessions come that those of the box office's nodes are evicted. A cluster evicts who was silent longest, so
// the nodes stand still meanwhile.
func (w *world) evict(ctx context.Context, cluster string, addresses []string, sessions int) (string, error) {
	const replaced = "ledger session replaced"
	before := w.countInLogs(replaced)
	began := time.Now()
	frozen := signalAll(w.pid(procBoxOffice), sigStop)
	for _, n := range w.nodes {
		frozen = append(frozen, signalAll(w.pid(n.name), sigStop)...)
	}
	defer signalEach(frozen, sigContinue)
	if err := openSessions(ctx, cluster, addresses, sessions); err != nil {
		return "", err
	}
	stood := time.Since(began)
	signalEach(frozen, sigContinue)
	goesOn := time.Now()
	err := await(ctx, backWithin, "each node opens a session again", func() bool { return w.countInLogs(replaced) > before+len(w.nodes) })
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("the box office stood still for %s while %d others came; new sessions %s after it went on", rounded(stood), sessions, rounded(time.Since(goesOn)))
	return text, w.awaitAllBack(ctx)
}

// countInLogs counts the lines of the box office's logs that hold a text.
func (w *world) countInLogs(text string) (n int) {
	files, _ := filepath.Glob(filepath.Join(w.data(), "log", "boxoffice*.log"))
	for _, file := range files {
		content, _ := os.ReadFile(file)
		n += bytes.Count(content, []byte(text))
	}
	return n
}

// refundsRefused is a provider that gives no money back for a while.
func refundsRefused(ctx context.Context, w *world, l *load) (string, error) {
	const seconds = 6
	l.want(planCancelPay, 6)
	mischief := w.mischief()
	mischief.RefuseRefundsSeconds = seconds
	if err := w.client.misbehave(ctx, mischief); err != nil {
		return "", err
	}
	return fmt.Sprintf("for %d s", seconds), pace.Pause(ctx, seconds*time.Second)
}

// ledgerDiskFull: the engine must stop at the first write that fails, and know everything that it had answered when it is started
// again.
func ledgerDiskFull(ctx context.Context, w *world, _ *load) (string, error) {
	if err := w.arm("fail", "ledger.disk", ""); err != nil {
		return "", err
	}
	err := await(ctx, failpointWithin, "the engine stops", func() bool { return !answersOK(ctx, w.env["BOXOFFICE_URL"]+"/readyz") })
	if paused := pace.Pause(ctx, w.durations().stop); err == nil {
		err = paused
	}
	w.disarm("fail", "ledger.disk")
	if err != nil {
		return "", err
	}
	// An engine that failed stays stopped: memory may be ahead of the disk. The operator makes room and starts it again.
	_ = pace.Pause(ctx, 100*time.Millisecond)
	how, err := w.killAndAwait(ctx, procBoxOffice)
	return "refused everything; room made and started again: " + how, err
}

// mockpayDiskFull: its store fails and the process ends; it is started again until there is room.
func mockpayDiskFull(ctx context.Context, w *world, l *load) (string, error) {
	l.want(planPay, 6)
	before := w.pid(procMockpay)
	if err := w.arm("fail", "mockpay.disk", ""); err != nil {
		return "", err
	}
	defer w.disarm("fail", "mockpay.disk")
	err := await(ctx, failpointWithin, "MockPay ends", func() bool { return w.pid(procMockpay) != before })
	if err == nil {
		err = pace.Pause(ctx, w.durations().stop)
	}
	w.disarm("fail", "mockpay.disk")
	if err != nil {
		return "", err
	}
	made := time.Now()
	if err := w.awaitBack(ctx, procMockpay, before); err != nil {
		return "", err
	}
	return "ended; ready after " + rounded(time.Since(made)), nil
}

// clockJumps moves a clock of our code. Holds and payments go on, and orders that were judged by the wrong clock must end right.
func clockJumps(clock string, by time.Duration) func(context.Context, *world, *load) (string, error) {
	return func(ctx context.Context, w *world, l *load) (string, error) {
		l.want(planPay, 6)
		d := w.durations().network
		// By a clock that is wrong a stale webhook may be a fresh one: MockPay must not send any just now.
		if err := w.client.misbehave(ctx, nil); err != nil {
			return "", err
		}
		defer func() { _ = w.client.misbehave(ctx, w.mischief()) }()
		if err := w.arm("clock", clock, by.String()); err != nil {
			return "", err
		}
		defer w.disarm("clock", clock)
		return fmt.Sprintf("for %s", d), pace.Pause(ctx, d)
	}
}

// ledgersClockFarOff moves the ledger's clock by more than is tolerated: nothing is sold until the others have caught up. What
// is held meanwhile goes on.
func ledgersClockFarOff(ctx context.Context, w *world, l *load) (string, error) {
	const off, noticedWithin, overWithin = 45 * time.Second, time.Minute, 2 * time.Minute
	l.want(planPay, 6)
	refuses := func() bool { return strings.Contains(w.client.whatIsNotReady(ctx), "nothing is sold") }
	if err := w.arm("clock", "ledger", off.String()); err != nil {
		return "", err
	}
	made := time.Now()
	err := await(ctx, noticedWithin, "nothing is sold", refuses)
	w.disarm("clock", "ledger")
	if err != nil {
		return "", err
	}
	noticed := time.Since(made)
	// A ledger's clock does not go back: it stands still until the time is reached.
	if err := await(ctx, overWithin, "it is sold again", func() bool { return !refuses() }); err != nil {
		return "", err
	}
	return fmt.Sprintf("noticed after %s, over after %s", rounded(noticed), rounded(time.Since(made))), nil
}

// forgedFlood sends webhooks that nobody signed while the genuine ones go on. None may be accepted.
func forgedFlood(ctx context.Context, w *world, l *load) (string, error) {
	l.want(planPay, 12)
	const senders = 16
	orders := l.record.all()
	settled := l.record.counted("seen as paid")
	var refused, unanswered, accepted atomic.Int64
	var wg sync.WaitGroup
	total := w.durations().forgeries
	started := time.Now()
	for s := range senders {
		wg.Go(func() {
			for i := s; i < total && ctx.Err() == nil; i += senders {
				switch status := w.forge(ctx, orders, i); {
				case status == http.StatusUnauthorized:
					refused.Add(1)
				case status/100 == 2:
					accepted.Add(1)
				default:
					unanswered.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := accepted.Load(); n > 0 {
		return "", fmt.Errorf("%d forged webhooks were accepted", n)
	}
	if refused.Load() == 0 {
		return "", errors.New("no forged webhook was answered 401")
	}
	took := time.Since(started)
	return fmt.Sprintf("%d refused, %d not answered, %.0f/s; %d orders shown as paid meanwhile", refused.Load(), unanswered.Load(),
		float64(total)/took.Seconds(), l.record.counted("seen as paid")-settled), ctx.Err()
}

// forge sends one success that nobody signed, for an order that exists where there is one. Its header is broken in ways that
// package client cannot send.
func (w *world) forge(ctx context.Context, orders []acknowledged, i int) int {
	order, session := strings.Repeat("0", 32), "ps_"+strings.Repeat("0", 32)
	if len(orders) > 0 {
		order, session = orders[i%len(orders)].Order, orders[i%len(orders)].PaymentSession
	}
	body := fmt.Sprintf(`{"type":"payment.succeeded","data":{"session":%q,"order":%q,"amount":6500,"currency":"EUR"}}`, session, order)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.env["BOXOFFICE_URL"]+"/v1/webhooks/mockpay", strings.NewReader(body))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("webhook-id", fmt.Sprintf("evt_forged-%d", i))
	request.Header.Set("webhook-timestamp", fmt.Sprint(time.Now().Unix()))
	request.Header.Set("webhook-signature", []string{"", "v1,AAAA", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=", "v2,x v1,"}[i%4])
	response, err := w.client.http.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

// mischief is what MockPay does on its own all the time: a bad provider is the normal case.
func (w *world) mischief() *server.Mischief {
	rates := map[server.Trick]float64{}
	for _, trick := range []server.Trick{
		server.TrickDelay, server.TrickDuplicate, server.TrickReorder, server.TrickLose, server.TrickForge, server.TrickReplay,
		server.TrickWrongAmount, server.TrickWrongCurrency, server.TrickContradict, server.TrickCaptureAtExpire, server.TrickCaptureLate,
		server.TrickDecline, server.TrickRefuseCapture, server.TrickErrors,
	} {
		rates[trick] = 0.04
	}
	return &server.Mischief{Seed: w.seed, Rates: rates}
}

// smallDiskBytes is enough for a run and little enough to be filled in a second.
const smallDiskBytes = 1 << 30

// mountSmallDisk puts the data directory on its own small disk if that is allowed; noSmallDisk says why not.
func (w *world) mountSmallDisk() {
	w.noSmallDisk = w.whyNoSmallDisk()
	if w.noSmallDisk != "" {
		return
	}
	if err := mountTmpfs(w.data(), smallDiskBytes); err != nil {
		w.noSmallDisk = fmt.Sprintf("mounting is not allowed here: %v", err)
		return
	}
	w.unmount = func() { unmountKeeping(w.data(), w.evidence) }
}

func (w *world) whyNoSmallDisk() string {
	switch {
	case w.ledger == ledgerTigerBeetle:
		return "TigerBeetle's data file alone takes a gigabyte; a run on the embedded ledger has it"
	case os.Geteuid() != 0:
		return "mounting needs root"
	default:
		return ""
	}
}

// smallDiskFull fills the disk under Postgres, MockPay, the ledger and the logs.
func smallDiskFull(ctx context.Context, w *world, _ *load) (string, error) {
	path := filepath.Join(w.data(), "filler")
	defer os.Remove(path)
	if err := fill(path); err != nil {
		return "", err
	}
	err := pace.Pause(ctx, w.durations().stop)
	if removed := os.Remove(path); err == nil {
		err = removed
	}
	if err != nil {
		return "", err
	}
	made := time.Now()
	// As in ledgerDiskFull: an engine that failed stays stopped until it is started again.
	if !answersOK(ctx, w.env["BOXOFFICE_URL"]+"/readyz") {
		if _, err := w.killAndAwait(ctx, procBoxOffice); err != nil {
			return "", err
		}
	}
	if err := w.awaitAllBack(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("full for %s, all ready %s after room was made", w.durations().stop, rounded(time.Since(made))), nil
}

// fill writes until there is no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for chunk := 1 << 20; chunk > 0; chunk /= 16 {
		zeros := make([]byte, chunk)
		for err = nil; err == nil; {
			_, err = f.Write(zeros)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return nil
}

// counted is how often something was answered.
func (r *record) counted(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[what]
}

// inTurn orders faults for a short run: the groups take turns, so that whatever the time allows has some of each.
func inTurn(all []fault) []fault {
	byGroup := map[string][]fault{}
	for _, f := range all {
		byGroup[f.group] = append(byGroup[f.group], f)
	}
	var ordered []fault
	for len(ordered) < len(all) {
		for _, g := range groups {
			if len(byGroup[g]) > 0 {
				ordered = append(ordered, byGroup[g][0])
				byGroup[g] = slices.Delete(byGroup[g], 0, 1)
			}
		}
	}
	return ordered
}
