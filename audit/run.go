package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"boxoffice/domain"
	"boxoffice/pace"
)

// Options of an audit. The zero value means the defaults.
type Options struct {
	Pause     time.Duration    // before a second look; default PauseDefault
	EndWithin time.Duration    // see EndWithinDefault
	RetryFor  time.Duration    // how long a source that does not answer is tried again; default RetryForDefault
	Now       func() time.Time // default time.Now

	// Progress is told before each source is read, so that whoever waits can
	// tell a long audit from a dead one; nil: nobody waits.
	Progress func(Source)
}

// The defaults of Options.
const (
	// PauseDefault is longer than a step's attempt that hangs (10 s, a call to
	// the orders database) and the pause after it (5 s): what was away until a
	// moment ago has then gone on.
	PauseDefault = 16 * time.Second
	// RetryForDefault is what a restart of a source takes. Two looks then stay
	// within the time that the API allows.
	RetryForDefault = 15 * time.Second
)

const (
	retryBackoff    = 250 * time.Millisecond
	retryBackoffMax = 4 * time.Second
)

// confirmMax bounds how many orders are asked for one by one at the end of a
// second look.
const confirmMax = 200

func (o Options) withDefaults() Options {
	o.Pause = cmp.Or(o.Pause, PauseDefault)
	o.EndWithin = cmp.Or(o.EndWithin, EndWithinDefault)
	o.RetryFor = cmp.Or(o.RetryFor, RetryForDefault)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Source) {}
	}
	return o
}

// Run audits a sale. It reads everything once, and once more where something
// looks broken: only what is seen twice is. Its memory grows with the orders of
// the sale, see docs/audit.md. A source that does not answer is in the report,
// as are the invariants that could be checked without it; the only error is the
// context's.
func Run(ctx context.Context, from Sources, sale *domain.Sale, o Options) (Report, error) {
	return run(ctx, from, ofSale(sale), o.withDefaults())
}

// RunLone audits what belongs to none of the sales: money that was captured for
// orders that nobody knows, and workflows of no sale. It fails like Run.
func RunLone(ctx context.Context, from Sources, sales []*domain.Sale, o Options) (Report, error) {
	return run(ctx, from, ofNoSale(sales), o.withDefaults())
}

func run(ctx context.Context, from Sources, of subject, o Options) (Report, error) {
	first, err := gather(ctx, from, of, o)
	if err != nil {
		return Report{}, err
	}
	before := evaluate(first, o.EndWithin)
	if seen := report(first, before, 1); !seen.Broken() {
		return seen, nil
	}
	if err := pace.Pause(ctx, o.Pause); err != nil {
		return Report{}, err
	}
	second, err := gather(ctx, from, of, o)
	if err != nil {
		return Report{}, err
	}
	now := evaluate(second, o.EndWithin)
	confirm(before, now)
	if err := second.addUnlisted(ctx, from.Workflows, now); err != nil {
		return Report{}, err
	}
	now = evaluate(second, o.EndWithin)
	confirm(before, now)
	return report(second, now, 2), nil
}

// confirm lowers what is broken now and was not before to in flight.
func confirm(before, now []*check) {
	type key struct{ invariant, subject, offender string }
	seen := make(map[key]bool)
	for _, c := range before {
		for _, o := range c.all {
			if o.Verdict == Broken {
				seen[key{c.ID, c.Subject, o.ID}] = true
			}
		}
	}
	for _, c := range now {
		for i, o := range c.all {
			if o.Verdict == Broken && !seen[key{c.ID, c.Subject, o.ID}] {
				c.all[i].Verdict = InFlight
			}
		}
	}
}

// addUnlisted asks Temporal about the orders that are to be called broken, one
// by one: its list of open workflows lags behind, its answer about one does not.
// One that ended since the look began excuses its order, too: what was read may
// be from before.
// Where there are more than confirmMax the list's lag does not explain it.
func (s *Snapshot) addUnlisted(ctx context.Context, from Workflows, checks []*check) error {
	asked := make(map[Offender]bool)
	for _, c := range checks {
		for _, o := range c.all {
			who := Offender{ID: o.ID, Order: o.Order}
			if o.Verdict != Broken || o.Order.IsZero() || asked[who] {
				continue
			}
			if len(asked) == confirmMax || s.Unread[SourceTemporal] != nil {
				return nil
			}
			asked[who] = true
			working, err := from.Working(ctx, o.Order, o.ID, s.At)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				s.Unread[SourceTemporal] = err
			}
			if working {
				s.Workflows = append(s.Workflows, domain.Workflow{ID: "not listed yet: " + o.Order.String(), Order: o.Order, SaleID: s.Sale.ID, StartedAt: s.At})
			}
		}
	}
	return nil
}

// gather reads a snapshot, in the order that the package comment explains. The
// error is the context's: what could not be read is in the snapshot.
func gather(ctx context.Context, from Sources, of subject, o Options) (*Snapshot, error) {
	s := &Snapshot{Sale: of.sale, At: o.Now(), Unread: make(map[Source]error)}
	for _, step := range []struct {
		source Source
		read   func() error
	}{
		{SourceTemporal, func() error { return s.addWorkflows(ctx, from.Workflows) }},
		{SourceOrders, func() error { return s.readOrders(ctx, from.Orders) }},
		{SourceLedger, func() error { return s.readLedger(ctx, from.Ledger) }},
		{SourceProvider, func() error { return s.readProvider(ctx, from, of) }},
		{SourceLedger, func() error { return s.readFates(ctx, from.Ledger) }},
		{SourceTemporal, func() error { return s.addWorkflows(ctx, from.Workflows) }},
		{SourceTemporal, func() error { return s.lookAtOverdue(ctx, from.Workflows, o.EndWithin) }},
	} {
		if s.Unread[step.source] != nil || step.source == SourceProvider && len(s.Unread) > 0 {
			continue // whose money it is, the other three tell
		}
		o.Progress(step.source)
		if err := persist(ctx, o.RetryFor, step.read); err != nil {
			if ctx.Err() != nil {
				return nil, fmt.Errorf("audit of %s: read %s: %w", of.name(), step.source, err)
			}
			s.Unread[step.source] = err
		}
	}
	return s, nil
}

// persist repeats a reading that fails: a source that restarts, or answers 500
// for a moment, is no reason to have no verdict.
func persist(ctx context.Context, retryFor time.Duration, read func() error) error {
	deadline, backoff := time.Now().Add(retryFor), retryBackoff
	for {
		err := read()
		if err == nil || ctx.Err() != nil || time.Now().Add(backoff).After(deadline) {
			return err
		}
		if pace.Pause(ctx, backoff) != nil {
			return err
		}
		backoff = min(2*backoff, retryBackoffMax)
	}
}

// addWorkflows keeps those that are there already as they were: what was open at
// any time during the audit counts as open.
func (s *Snapshot) addWorkflows(ctx context.Context, from Workflows) error {
	there := make(map[string]bool, len(s.Workflows))
	for _, w := range s.Workflows {
		there[w.ID] = true
	}
	for w, err := range from.Unfinished(ctx) {
		if err != nil {
			return err
		}
		if !there[w.ID] {
			s.Workflows = append(s.Workflows, w)
		}
	}
	return nil
}

// lookAtOverdue asks what the workflows wait for that should have ended, and
// drops those that have: the list lags behind. It asks for at most looksMax.
func (s *Snapshot) lookAtOverdue(ctx context.Context, from Workflows, endWithin time.Duration) error {
	var overdue []int
	s.UnaskedWorkflows = make(map[string]bool)
	for i := range s.Workflows {
		w := &s.Workflows[i]
		if w.Failed || w.SaleID != s.Sale.ID || s.At.Sub(s.due(w)) <= endWithin {
			continue
		}
		if len(overdue) == looksMax {
			s.UnaskedWorkflows[w.ID] = true
			continue
		}
		overdue = append(overdue, i)
	}
	looks := make([]domain.WorkflowLook, len(overdue))
	err := each(ctx, overdue, func(ctx context.Context, n, i int) (err error) {
		looks[n], err = from.Look(ctx, s.Workflows[i].ID)
		return err
	})
	if err != nil {
		return err
	}
	ended := make(map[string]bool)
	for n, i := range overdue {
		s.Workflows[i].WaitsFor = looks[n].WaitsFor
		ended[s.Workflows[i].ID] = !looks[n].Open
	}
	s.Workflows = slices.DeleteFunc(s.Workflows, func(w domain.Workflow) bool { return ended[w.ID] })
	return nil
}

func (s *Snapshot) readOrders(ctx context.Context, from Orders) (err error) {
	if !s.lone() {
		if s.Orders, err = collect(from.RecordedOrders(ctx, s.Sale.ID)); err != nil {
			return err
		}
	}
	if s.Refunds, err = collect(from.RecordedRefunds(ctx, s.Sale.ID)); err != nil {
		return err
	}
	s.Events, err = from.EventCounts(ctx, s.Sale.ID)
	return err
}

// readLedger reads the balances before and after the transfers: only where they
// did not move can the two be compared.
func (s *Snapshot) readLedger(ctx context.Context, from Ledger) (err error) {
	if s.lone() {
		return nil
	}
	before, err := from.Stock(ctx, s.Sale)
	if err != nil {
		return err
	}
	s.Bookings, s.Moved = make(map[uint32][]domain.StockUse), make(map[uint32]bool)
	for ledger := range stockLedgers(s.Sale) {
		if s.Bookings[ledger], err = from.Bookings(ctx, ledger); err != nil {
			return fmt.Errorf("ledger %d: %w", ledger, err)
		}
	}
	if s.Quota, err = from.Quota(ctx, s.Sale, s.Sale.QuotaLedger); err != nil {
		return fmt.Errorf("quota: %w", err)
	}
	if s.Sale.OneCheckoutPerBuyer {
		if s.Checkouts, err = from.Quota(ctx, s.Sale, s.Sale.CheckoutLedger); err != nil {
			return fmt.Errorf("open checkouts: %w", err)
		}
	}
	if s.Stocks, err = from.Stock(ctx, s.Sale); err != nil {
		return err
	}
	for _, level := range s.Stocks {
		s.Moved[level.Ledger] = !slices.Contains(before, level)
	}
	return nil
}
