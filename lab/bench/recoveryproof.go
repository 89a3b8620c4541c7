package bench

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"boxoffice/audit"
	"boxoffice/domain"
	"boxoffice/lab/bench/probe"
	"boxoffice/lab/bench/report"
	"boxoffice/pace"
	"boxoffice/workflows"
)

const (
	lookInterval = 500 * time.Millisecond
	// endedPerSecondMin and endedMargin bound the wait for the endings.
	endedPerSecondMin = 10
	endedMargin       = 2 * time.Minute
	// stockTimeout is above the ledger's own timeout, which comes
	// domain.HoldGraceDefault after the checkout's deadline.
	stockTimeout = domain.HoldGraceDefault + time.Minute
	// shownMax is how many orders are looked at as their buyers do.
	shownMax = 200
)

// awaitEndings returns when every checkout has closed, or none is expected to any
// more. Which ones did is looked at afterwards.
func (r *recovery) awaitEndings(ctx context.Context) error {
	if err := pace.Pause(ctx, time.Until(r.firstDeadline)-killMargin); err != nil {
		return err
	}
	r.before = r.read(ctx, r.scrape)
	var closed atomic.Int64
	defer r.progress.watch(func() string { return fmt.Sprintf("%d of %d have ended", closed.Load(), r.row.Open) })()
	until := r.base().Add(endedMargin + time.Duration(r.row.Open)*time.Second/endedPerSecondMin)
	for closed.Load() < int64(r.row.Open) && time.Now().Before(until) {
		if err := pace.Pause(ctx, lookInterval); err != nil {
			return err
		}
		r.lookAtMemory()
		if err := r.lookAtStock(ctx); err != nil {
			return err
		}
		counted, err := probe.CountClosed(ctx, r.Temporal, r.prefix)
		if err != nil {
			return err
		}
		closed.Store(counted)
	}
	r.after = r.read(ctx, r.scrape)
	return nil
}

// lookAtMemory keeps the most that was seen.
func (r *recovery) lookAtMemory() {
	for name, bytes := range r.memory() {
		if r.row.MemoryMax == nil {
			r.row.MemoryMax = map[string]float64{}
		}
		r.row.MemoryMax[name] = max(r.row.MemoryMax[name], bytes)
	}
}

// lookAtStock notes when all seats are for sale again.
func (r *recovery) lookAtStock(ctx context.Context) error {
	if !r.stockBack.IsZero() {
		return nil
	}
	seats, err := r.seats(ctx)
	if err != nil {
		return err
	}
	r.row.Capacity, r.row.Available = seats.Capacity, seats.Available
	if seats.Available == seats.Capacity {
		r.stockBack = time.Now()
		r.row.StockSeconds = r.stockBack.Sub(r.base()).Seconds()
	}
	return nil
}

// seats sums all sales up.
func (r *recovery) seats(ctx context.Context) (sum seats, err error) {
	for _, sale := range r.sales {
		of, err := r.caller.seats(ctx, sale)
		if err != nil {
			return seats{}, fmt.Errorf("seats of sale %s: %w", sale, err)
		}
		sum = sum.plus(of)
	}
	return sum, nil
}

// awaitStock gives the last seats the time that the ledger's own timeouts take.
func (r *recovery) awaitStock(ctx context.Context) error {
	for until := time.Now().Add(stockTimeout); r.stockBack.IsZero() && time.Now().Before(until); {
		if err := r.lookAtStock(ctx); err != nil {
			return err
		}
		if err := pace.Pause(ctx, lookInterval); err != nil {
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
	deadlines := make(map[string]time.Time, r.holds.len())
	for _, h := range r.holds.list() {
		deadlines[workflows.CheckoutID(h.order)] = h.expires
	}
	fillEndings(&r.row, deadlines, listed, r.started, r.ready)
	r.fillCosts()
	return nil
}

// fillEndings finds, for the checkouts with these deadlines, by workflow id, what
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

// fillCosts: the processes began with the start, so what they had used when
// they were ready is the start's.
func (r *recovery) fillCosts() {
	if r.atReady.processes != nil {
		r.row.CPUStart = map[string]float64{}
		for name, usage := range r.atReady.processes.ByName {
			r.row.CPUStart[name] = usage.CPUSeconds
		}
		delete(r.row.CPUStart, probe.Generator) // it began long before
	}
	if e, ok := r.after.effortSince(r.before); ok {
		r.row.CPU, r.row.OthersCores = e.millisecondsPer(float64(r.row.Open)), e.othersCores
	}
}

// lookAtOrders asks as the buyers do, for orders from all over the round.
func (r *recovery) lookAtOrders(ctx context.Context) error {
	holds := r.holds.list()
	step := (len(holds) + shownMax - 1) / shownMax
	for i := 0; i < len(holds); i += step {
		status, err := r.askForOrder(ctx, holds[i])
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

func (r *recovery) askForOrder(ctx context.Context, h held) (domain.OrderStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, _, err := r.caller.readOrder(ctx, h)
	return status, err
}

// lookAtBooks audits every sale and keeps what is broken.
func (r *recovery) lookAtBooks(ctx context.Context) {
	reports, _ := r.audit(ctx, r.sales...)
	if len(reports) == 0 {
		return
	}
	r.row.Verdict = string(audit.OK)
	var text strings.Builder
	for i := range reports {
		if reports[i].Verdict != audit.OK {
			r.row.Verdict = string(reports[i].Verdict)
			_ = reports[i].WriteText(&text) // a Builder takes everything
		}
	}
	r.row.AuditText = text.String()
}
