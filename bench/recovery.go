package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"boxoffice/audit"
	"boxoffice/bench/load"
	"boxoffice/bench/probe"
	"boxoffice/bench/report"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// Recovery is what a stack has to take up again after all of it was killed.
type Recovery struct {
	Open  []int    // checkouts that are open at the kill, a round each
	Cases []string // report.CaseDown, report.CaseUp
	Stack Mortal
	// Dial connects to the Temporal of the stack that was started last.
	Dial func(ctx context.Context) (client.Client, error)
}

// Mortal is a whole stack, which can be killed and started on what it left.
type Mortal interface {
	// Kill ends all of its processes as a power cut would, and returns when none
	// is left.
	Kill(ctx context.Context) error
	// Start returns when buyers are served, at the addresses of before.
	Start(ctx context.Context) error
}

// RecoveryCases are all cases, in the order in which they run.
var RecoveryCases = []string{report.CaseDown, report.CaseUp}

const (
	recoveryOpenMax = 100_000
	// salesOrders is how many checkouts of a recovery share a sale. The sales of
	// a round differ in how long they hold, so that all deadlines come together:
	// within the seconds that so many holds take.
	salesOrders = 500
	// warmUpOrders are paid before a round: with cold caches nothing is like later.
	// Their time foretells that of the holds, which are the first half of each and
	// get all but three tenths of it.
	warmUpOrders = 400
	holdShare    = 0.7
	// deadlineMargin is what is added to the time that the holds should take, and
	// readyMargin to that what a start on a crashed stack's data takes at most.
	deadlineMargin = 10 * time.Second
	readyMargin    = 30 * time.Second

	lookInterval = 500 * time.Millisecond
	// endedPerSecondMin and endedMargin bound the wait for the endings.
	endedPerSecondMin = 10
	endedMargin       = 2 * time.Minute
	// stockTimeout is above the ledger's own timeout, which comes
	// ledger.HoldGrace after the checkout's deadline.
	stockTimeout = time.Minute
	// shownMax is how many orders are looked at as their buyers do.
	shownMax = 200
	// busyPause is how long a hold waits that was not made for lack of room.
	busyPause = 200 * time.Millisecond
)

func (r Recovery) validate(o Options) error {
	switch {
	case o.AdminToken == "" || o.Signer == nil:
		return errNoSecrets
	case len(r.Open) == 0 || slices.Min(r.Open) < 1 || slices.Max(r.Open) > recoveryOpenMax:
		return fmt.Errorf("%v open checkouts: want 1–%d", r.Open, recoveryOpenMax)
	case len(r.Cases) == 0:
		return errors.New("no case was chosen")
	}
	for _, c := range r.Cases {
		if !slices.Contains(RecoveryCases, c) {
			return fmt.Errorf("no case is called %q; there are: %s", c, strings.Join(RecoveryCases, ", "))
		}
	}
	return nil
}

// RunRecovery opens checkouts, kills the whole stack, starts it again and looks
// what becomes of them, for every number and case. The result is valid where the
// error is nil or wraps ErrFound: one was lost, a seat did not come back, an
// invariant is broken.
func RunRecovery(ctx context.Context, o Options, r Recovery) (report.Result, error) {
	if err := r.validate(o); err != nil {
		return report.Result{}, err
	}
	b := newBench(o)
	if err := b.caller.openSale(ctx, b.sale); err != nil {
		return report.Result{}, b.noStack(err)
	}
	var err error
	if b.Temporal, err = r.Dial(ctx); err != nil {
		return report.Result{}, err
	}
	defer func() { b.Temporal.Close() }()
	if err := b.describe(ctx); err != nil {
		return report.Result{}, err
	}
	b.closeProbes() // its connection would die with the server
	b.postgres, b.result.Settings.Phases = nil, []string{"recovery"}
	for _, open := range r.Open {
		for _, c := range r.Cases {
			round := recovery{bench: b, Recovery: r, row: report.Recovery{Case: c, Open: open}, prefix: fmt.Sprintf("%s-%s-%d-", b.sale, c, open)}
			if err := round.run(ctx); err != nil {
				return report.Result{}, fmt.Errorf("%d open checkouts, deadlines while %s: %w", open, c, err)
			}
			b.result.Recoveries = append(b.result.Recoveries, round.row)
			fmt.Fprintf(b.Out, "  %-5s %6d open   %s\n", c, open, round.row.Sentence())
		}
	}
	err = b.verify(ctx) // what was paid before a kill is paid
	b.result.TookSeconds = time.Since(b.result.StartedAt).Seconds()
	b.result.Notes = b.notes
	if err == nil {
		err = b.judge()
	}
	return b.result, err
}

// recovery is one round.
type recovery struct {
	*bench
	Recovery
	row    report.Recovery
	prefix string // of the ids of its sales

	sales    []string
	mu       sync.Mutex
	holds    []held
	deadline struct{ first, last time.Time }

	started, ready, stockBack time.Time
	atReady, before, after    reading
}

func (r *recovery) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{r.hold, r.killAndStart, r.awaitEndings, r.awaitStock, r.compare, r.lookAtOrders, r.audit} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hold opens the checkouts, with deadlines that all come after the last of them
// was made.
func (r *recovery) hold(ctx context.Context) error {
	stop := r.progress.prepare(fmt.Sprintf("warming up with %d paid checkouts", warmUpOrders))
	began := time.Now()
	err := r.payFor(ctx, warmUpOrders)
	stop()
	if err != nil {
		return err
	}
	took := time.Duration(holdShare * float64(time.Since(began)) * float64(r.row.Open) / warmUpOrders)
	began = time.Now()
	target := began.Add(took + deadlineMargin)
	if r.row.Case == report.CaseUp {
		target = target.Add(readyMargin)
	}
	stop = r.progress.watch(func() string {
		return fmt.Sprintf("%d of %d checkouts are open; deadlines in %.0f s", r.held(), r.row.Open, time.Until(target).Seconds())
	})
	err = r.holdUntil(ctx, target)
	stop()
	if err != nil {
		return err
	}
	r.row.HeldSeconds = time.Since(began).Seconds()
	_, r.row.HeldBefore, _, err = r.stock(ctx)
	if err == nil && time.Until(r.deadline.first) < time.Second {
		err = fmt.Errorf("the first deadline came before the last of them was held, after %.0f s: the machine was slower than while warming up, measure again", r.row.HeldSeconds)
	}
	return err
}

func (r *recovery) payFor(ctx context.Context, orders int) error {
	return r.many(ctx, orders, func(ctx context.Context) error { return r.journey(ctx, &load.Request{}) })
}

func (r *recovery) held() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.holds)
}

// holdUntil makes sales of salesOrders seats each and holds all of them.
func (r *recovery) holdUntil(ctx context.Context, target time.Time) error {
	for left := r.row.Open; left > 0; left -= salesOrders {
		seats := min(left, salesOrders)
		sale := fmt.Sprintf("%s%d", r.prefix, len(r.sales)+1)
		if err := r.caller.offer(ctx, sale, int64(seats), map[string]any{"hold_seconds": holdSeconds(time.Until(target))}); err != nil {
			return fmt.Errorf("open sale %s: %w", sale, err)
		}
		r.sales = append(r.sales, sale)
		err := r.many(ctx, seats, func(ctx context.Context) error {
			h, err := r.holdPatiently(ctx, sale)
			if err == nil {
				r.mu.Lock()
				r.holds = append(r.holds, h)
				r.mu.Unlock()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	r.row.Sales = len(r.sales)
	earlier := func(a, b held) int { return a.expires.Compare(b.expires) }
	r.deadline.first, r.deadline.last = slices.MinFunc(r.holds, earlier).expires, slices.MaxFunc(r.holds, earlier).expires
	return nil
}

// holdSeconds rounds up to what a sale may have.
func holdSeconds(until time.Duration) int {
	return int(math.Ceil(max(until, domain.HoldTimeoutMin).Seconds()))
}

// holdPatiently asks with one key until the hold is made, so that none is made
// of which nobody knows.
func (b *bench) holdPatiently(ctx context.Context, sale string) (held, error) {
	key := uuid.Must(uuid.NewV7()).String()
	for {
		h, err := b.caller.placeOrderOf(ctx, sale, key)
		var failure *load.Failure
		refused := errors.As(err, &failure) && !strings.HasPrefix(failure.Code, "503") && failure.Code != "409 in_flight"
		if err == nil || refused {
			return h, err
		}
		if pause(ctx, busyPause) != nil {
			return h, err
		}
	}
}

// killAndStart ends with a stack that serves, right before the first checkout
// ends or while they do.
func (r *recovery) killAndStart(ctx context.Context) error {
	defer r.progress.prepare("kill -9, and a start on what is left")()
	killed := time.Now()
	if err := r.Stack.Kill(ctx); err != nil {
		return fmt.Errorf("kill the stack: %w", err)
	}
	r.caller.http.CloseIdleConnections()
	if r.row.Case == report.CaseDown {
		if err := pause(ctx, time.Until(r.deadline.last)+time.Second); err != nil {
			return err
		}
	}
	r.started = time.Now()
	r.row.DownSeconds = r.started.Sub(killed).Seconds()
	if err := r.Stack.Start(ctx); err != nil {
		return fmt.Errorf("start the stack again: %w", err)
	}
	r.ready = time.Now()
	r.row.ReadySeconds = r.ready.Sub(r.started).Seconds()
	r.findProcesses()
	r.atReady = r.read(ctx, r.scrape)
	return r.redial(ctx)
}

// redial: the old connection would wait out a backoff of its own.
func (r *recovery) redial(ctx context.Context) error {
	connection, err := r.Dial(ctx)
	if err == nil {
		r.Temporal.Close()
		r.Temporal = connection
	}
	return err
}

// base is when the first checkout could end.
func (r *recovery) base() time.Time {
	if r.deadline.first.After(r.started) {
		return r.deadline.first
	}
	return r.started
}

// awaitEndings returns when every checkout has closed, or none is expected to any
// more. Which ones did is looked at afterwards.
func (r *recovery) awaitEndings(ctx context.Context) error {
	if err := pause(ctx, time.Until(r.deadline.first)-time.Second); err != nil {
		return err
	}
	r.before = r.read(ctx, r.scrape)
	r.row.MemoryMax = map[string]float64{}
	var closed int64
	stop := r.progress.watch(func() string { return fmt.Sprintf("%d of %d have ended", closed, r.row.Open) })
	defer stop()
	until := r.base().Add(endedMargin + time.Duration(r.row.Open)*time.Second/endedPerSecondMin)
	for closed < int64(r.row.Open) && time.Now().Before(until) {
		if err := pause(ctx, lookInterval); err != nil {
			return err
		}
		r.lookAtMemory()
		if err := r.lookAtStock(ctx); err != nil {
			return err
		}
		var err error
		if closed, err = probe.CountClosed(ctx, r.Temporal, r.prefix); err != nil {
			return err
		}
	}
	r.after = r.read(ctx, r.scrape)
	return nil
}

func (r *recovery) lookAtMemory() {
	processes, err := probe.ReadProcesses(r.pids)
	if err != nil {
		r.note("CPU and memory: " + err.Error())
		return
	}
	for name, usage := range processes.ByName {
		r.row.MemoryMax[name] = max(r.row.MemoryMax[name], usage.MemoryBytes)
	}
}

// lookAtStock notes when all seats are for sale again.
func (r *recovery) lookAtStock(ctx context.Context) error {
	if !r.stockBack.IsZero() {
		return nil
	}
	capacity, _, available, err := r.stock(ctx)
	if err != nil {
		return err
	}
	r.row.Capacity, r.row.Available = capacity, available
	if available == capacity {
		r.stockBack = time.Now()
		r.row.StockSeconds = r.stockBack.Sub(r.base()).Seconds()
	}
	return nil
}

// stock sums all sales up.
func (r *recovery) stock(ctx context.Context) (capacity, held, available int64, err error) {
	for _, sale := range r.sales {
		c, h, a, err := r.caller.stock(ctx, sale)
		if err != nil {
			return 0, 0, 0, err
		}
		capacity, held, available = capacity+c, held+h, available+a
	}
	return capacity, held, available, nil
}

// awaitStock gives the last seats the time that the ledger's own timeouts take.
func (r *recovery) awaitStock(ctx context.Context) error {
	for until := time.Now().Add(stockTimeout); r.stockBack.IsZero() && time.Now().Before(until); {
		if err := r.lookAtStock(ctx); err != nil {
			return err
		}
		if err := pause(ctx, lookInterval); err != nil {
			return err
		}
	}
	return nil
}

// compare holds what buyers were told against what Temporal has.
func (r *recovery) compare(ctx context.Context) error {
	listed, err := probe.ListCheckouts(ctx, r.Temporal, r.prefix)
	if err != nil {
		return err
	}
	deadlines := make(map[string]time.Time, len(r.holds))
	for _, h := range r.holds {
		deadlines[workflows.CheckoutID(h.order)] = h.expires
	}
	fillEndings(&r.row, deadlines, listed, r.started, r.ready)
	r.fillCosts()
	return nil
}

// fillEndings tells of the checkouts with these deadlines, by workflow id, what
// Temporal's list says, for a stack that was started and ready at these times.
func fillEndings(row *report.Recovery, deadlines map[string]time.Time, listed []probe.Checkout, started, ready time.Time) {
	row.Endings, row.Missing, row.Unknown, row.Overdue = map[string]int{}, len(deadlines), 0, 0
	var base, first, last time.Time
	for _, deadline := range deadlines {
		if base.IsZero() || deadline.Before(base) {
			base = deadline
		}
		if deadline.Before(ready) {
			row.Overdue++
		}
	}
	base = later(base, started)
	var waits []float64
	for _, c := range listed {
		deadline, known := deadlines[c.ID]
		if !known {
			row.Unknown++
			continue
		}
		row.Missing--
		row.Endings[c.Ending]++
		if c.ClosedAt.IsZero() {
			continue
		}
		if first.IsZero() || c.ClosedAt.Before(first) {
			first = c.ClosedAt
		}
		last = later(last, c.ClosedAt)
		waits = append(waits, c.ClosedAt.Sub(later(deadline, started)).Seconds())
	}
	row.Late = report.LatenessOf(waits)
	if len(waits) > 0 {
		row.FirstSeconds, row.AllSeconds = first.Sub(base).Seconds(), last.Sub(base).Seconds()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// fillCosts: the processes began with the start, so what they had used when
// they were ready is the start's.
func (r *recovery) fillCosts() {
	if r.atReady.processes == nil || r.before.processes == nil || r.after.processes == nil {
		return
	}
	const toMilliseconds = 1000
	r.row.CPUStart, r.row.CPU = map[string]float64{}, map[string]float64{}
	for name, usage := range r.atReady.processes.ByName {
		if name != generator {
			r.row.CPUStart[name] = usage.CPUSeconds
		}
	}
	for name, seconds := range r.after.processes.Since(*r.before.processes) {
		r.row.CPU[name] = seconds * toMilliseconds / float64(r.row.Open)
	}
	r.row.OthersCores = r.row.CPU[probe.Others] * float64(r.row.Open) / toMilliseconds / r.after.at.Sub(r.before.at).Seconds()
	delete(r.row.CPU, probe.Others)
}

// lookAtOrders asks as the buyers do.
func (r *recovery) lookAtOrders(ctx context.Context) error {
	step := max(1, len(r.holds)/shownMax)
	for i := 0; i < len(r.holds); i += step {
		status, _, err := r.caller.readOrder(ctx, r.holds[i])
		if err != nil {
			return err
		}
		r.row.Shown++
		if status == domain.OrderExpired {
			r.row.ShownExpired++
		}
	}
	return nil
}

// audit asks the box office's own books.
func (r *recovery) audit(ctx context.Context) error {
	defer r.progress.prepare(fmt.Sprintf("auditing %d sales", len(r.sales)))()
	verifier := &audit.Verifier{URL: r.URL, AdminURL: r.AdminURL, Token: r.AdminToken, Sales: r.sales, Wait: r.AuditTimeout}
	var text strings.Builder
	reports, err := verifier.Verify(ctx, &text)
	if err != nil {
		r.note("the audit was not possible: " + err.Error())
		return ctx.Err()
	}
	r.row.Verdict = string(audit.OK)
	for i := range reports {
		if reports[i].Verdict == audit.OK {
			continue
		}
		r.row.Verdict = string(reports[i].Verdict)
		text.Reset()
		_ = reports[i].WriteText(&text) // a Builder takes everything
		r.row.AuditText += text.String()
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
