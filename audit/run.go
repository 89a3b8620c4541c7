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

	// Progress is called before each source is read, so that whoever waits can tell a
	// long audit from a dead one. It may be nil.
	Progress func(Source)
}

// The defaults of Options.
const (
	// PauseDefault is longer than a step's attempt that hangs (10 s, a call to the orders
	// database) and the pause after it (5 s). So what was away until a moment ago has
	// gone on by then.
	PauseDefault = 16 * time.Second
	// RetryForDefault is how long a source takes to restart. Two looks then stay within
	// the time that the API allows.
	RetryForDefault = 15 * time.Second
)

const (
	retryBackoff    = 250 * time.Millisecond
	retryBackoffMax = 4 * time.Second
)

// confirmMax limits how many orders are asked about one by one at the end of a second
// look.
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

// Run audits a sale. It reads everything once, and a second time if something looks
// broken: only what is seen twice is broken. Its memory grows with the sale's orders, see
// docs/audit.md. The report names a source that does not answer, and has the invariants
// that could be checked without it. The only error is the context's.
func Run(ctx context.Context, from Sources, sale *domain.Sale, o Options) (Report, error) {
	return run(ctx, from, ofSale(sale), o.withDefaults())
}

// RunLone audits what belongs to no sale: money captured for orders that nobody knows,
// and workflows of no sale. It fails like Run.
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

// confirm lowers what is broken now but was not before to in flight.
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

// addUnlisted asks Temporal, one by one, about the orders that are about to be called
// broken: its list of open workflows lags, its answer about one does not. An order that
// ended since the look began is excused too: what was read may be older. If there are
// more than confirmMax, the list's lag does not explain them.
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
			id, err := from.Working(ctx, o.Order, o.ID, s.At)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				s.Unread[SourceTemporal] = err
			}
			if id != "" && !s.lists(id) { // what is listed excuses nothing: its order was judged with it
				s.Workflows = append(s.Workflows, domain.Workflow{ID: id, Order: o.Order, SaleID: s.Sale.ID, StartedAt: s.At})
			}
		}
	}
	return nil
}

func (s *Snapshot) lists(workflowID string) bool {
	return slices.ContainsFunc(s.Workflows, func(w domain.Workflow) bool { return w.ID == workflowID && !w.Failed })
}

// gather reads a snapshot, in the order that the package comment explains. The error is
// the context's: the snapshot says what could not be read.
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
			continue // the other three say whose money it is
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

// persist repeats a reading that fails: a source that restarts, or answers 500 for a
// moment, must not cost the verdict.
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

// addWorkflows does not overwrite earlier entries: what was open at any time during the
// audit counts as open.
func (s *Snapshot) addWorkflows(ctx context.Context, from Workflows) error {
	there := make(map[string]bool, len(s.Workflows))
	for _, w := range s.Workflows {
		there[w.ID] = true
	}
	of := s.Sale
	if s.lone() {
		of = nil
	}
	for w, err := range from.Unfinished(ctx, of) {
		if err != nil {
			return err
		}
		if !there[w.ID] {
			s.Workflows = append(s.Workflows, w)
		}
	}
	return nil
}

// lookAtOverdue asks what the workflows wait for that should have ended, and drops those
// that have ended: the list lags. It asks about at most looksMax.
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
		if err := s.readRecorded(ctx, from); err != nil {
			return err
		}
		if s.Orders, err = collect(from.RecordedOrders(ctx, s.Sale.ID)); err != nil {
			return err
		}
	}
	if s.Refunds, err = collect(from.RecordedRefunds(ctx, s.Sale.ID)); err != nil {
		return err
	}
	if s.Reversals, err = collect(from.RecordedReversals(ctx, s.Sale.ID)); err != nil {
		return err
	}
	if s.Events, err = from.EventCounts(ctx, s.Sale.ID); err != nil {
		return err
	}
	if s.Readers, err = from.ReaderCounts(ctx, s.Sale.ID); err != nil {
		return err
	}
	s.Figures, err = from.CheckFigures(ctx, s.Sale.ID)
	return err
}

func (s *Snapshot) readRecorded(ctx context.Context, from Orders) error {
	recorded, err := from.RecordedCapacities(ctx, s.Sale.ID)
	if err != nil {
		return err
	}
	s.Recorded = make(map[uint32]domain.RecordedCapacity, len(recorded))
	for _, c := range recorded {
		s.Recorded[c.Ledger] = c
	}
	return nil
}

func (s *Snapshot) readBooked(ctx context.Context, from Ledger) (err error) {
	s.Booked = make(map[uint32]domain.BookedCapacity, len(s.Sale.Classes))
	for _, class := range s.Sale.Classes {
		switch s.Booked[class.Ledger], err = from.BookedCapacity(ctx, class.Ledger); {
		case domain.CodeOf(err) == domain.CodeNotFound && err != nil:
			delete(s.Booked, class.Ledger) // the levels say so
		case err != nil:
			return fmt.Errorf("ledger %d: %w", class.Ledger, err)
		}
	}
	return nil
}

// readLedger reads the balances before and after the transfers: the two can be compared
// only if the balances did not move.
func (s *Snapshot) readLedger(ctx context.Context, from Ledger) (err error) {
	if s.lone() {
		return nil
	}
	before, err := from.Stock(ctx, s.Sale)
	if err != nil {
		return err
	}
	if err := s.readBooked(ctx, from); err != nil {
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
	if s.Sale.HasHidden() {
		if s.Codes, err = from.ClassCodeQuota(ctx, s.Sale); err != nil {
			return fmt.Errorf("codes: %w", err)
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
