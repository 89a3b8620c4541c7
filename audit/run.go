package audit

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"boxoffice/domain"

	"golang.org/x/sync/errgroup"
)

// Options of an audit. The zero value means the defaults.
type Options struct {
	Pause     time.Duration    // before a second look; default PauseDefault
	EndWithin time.Duration    // see EndWithinDefault
	Now       func() time.Time // default time.Now
}

// PauseDefault is longer than Temporal's visibility store lags behind on a busy
// machine.
const PauseDefault = 2 * time.Second

const (
	lookupsMax      = 1000 // payments asked for at once
	sessionCallsMax = 8    // concurrent questions to the provider
)

// Run audits a sale. It reads everything once, and once more where something
// looks broken: only what is seen twice is. Its memory grows with the orders of
// the sale, some hundred bytes each. The error says which source could not be
// read; then there is no verdict.
func Run(ctx context.Context, from Sources, sale *domain.Sale, o Options) (Report, error) {
	o.Pause = cmp.Or(o.Pause, PauseDefault)
	o.EndWithin = cmp.Or(o.EndWithin, EndWithinDefault)
	if o.Now == nil {
		o.Now = time.Now
	}
	first, err := Gather(ctx, from, sale, o.Now)
	if err != nil {
		return Report{}, err
	}
	before := evaluate(first, o.EndWithin)
	if seen := report(first, before, 1); !seen.Broken() {
		return seen, nil
	}
	if err := pause(ctx, o.Pause); err != nil {
		return Report{}, err
	}
	second, err := Gather(ctx, from, sale, o.Now)
	if err != nil {
		return Report{}, err
	}
	now := evaluate(second, o.EndWithin)
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

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Gather reads a snapshot, in the order that the package comment explains.
func Gather(ctx context.Context, from Sources, sale *domain.Sale, now func() time.Time) (*Snapshot, error) {
	s := &Snapshot{Sale: sale, At: now(), Bookings: make(map[uint32][]Booking)}
	for _, step := range []struct {
		source string
		read   func() error
	}{
		{"Temporal", func() error { return s.addWorkflows(ctx, from.Workflows) }},
		{"the orders database", func() error { return s.readOrders(ctx, from.Orders) }},
		{"the ledger", func() error { return s.readLedger(ctx, from.Ledger) }},
		{"the payment provider", func() error { return s.readProvider(ctx, from.Provider, from.Orders) }},
		{"Temporal", func() error { return s.addWorkflows(ctx, from.Workflows) }},
	} {
		if err := step.read(); err != nil {
			return nil, fmt.Errorf("audit of sale %s: read %s: %w", sale.ID, step.source, err)
		}
	}
	return s, nil
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

func (s *Snapshot) readOrders(ctx context.Context, from Orders) (err error) {
	if s.Orders, err = collect(from.RecordedOrders(ctx, s.Sale.ID)); err != nil {
		return err
	}
	if s.Refunds, err = collect(from.RecordedRefunds(ctx, s.Sale.ID)); err != nil {
		return err
	}
	s.Events, err = from.EventCounts(ctx, s.Sale.ID)
	return err
}

func (s *Snapshot) readLedger(ctx context.Context, from Ledger) (err error) {
	var ledgers []uint32
	for _, c := range s.Sale.Classes {
		ledgers = append(ledgers, c.Ledger)
	}
	if s.Sale.Perk != nil {
		ledgers = append(ledgers, s.Sale.Perk.Ledger)
	}
	for _, ledger := range ledgers {
		if s.Bookings[ledger], err = from.Bookings(ctx, ledger); err != nil {
			return fmt.Errorf("ledger %d: %w", ledger, err)
		}
	}
	if s.Quota, err = from.Quota(ctx, s.Sale); err != nil {
		return fmt.Errorf("quota: %w", err)
	}
	s.Stocks, err = from.Stock(ctx, s.Sale)
	return err
}

// readProvider keeps what concerns the sale, and what no sale knows of.
func (s *Snapshot) readProvider(ctx context.Context, from Provider, orders Orders) (err error) {
	ours := newOwnership(s, orders)
	s.Captures, err = keep(ctx, ours, from.Captures(ctx), func(c domain.Capture) (domain.OrderID, string) { return c.Order, c.Payment })
	if err != nil {
		return fmt.Errorf("captures: %w", err)
	}
	s.Acknowledged, err = keep(ctx, ours, from.Deliveries(ctx), func(e domain.PaymentEvent) (domain.OrderID, string) { return e.Order, e.Payment })
	if err != nil {
		return fmt.Errorf("deliveries: %w", err)
	}
	captured := make(map[string]bool, len(s.Captures))
	for _, c := range s.Captures {
		captured[c.Payment] = true
	}
	for r, err := range from.Refunds(ctx) {
		if err != nil {
			return fmt.Errorf("refunds: %w", err)
		}
		if captured[r.Payment] {
			s.Returned = append(s.Returned, r)
		}
	}
	s.UnknownSessions, err = unknownSessions(ctx, from, s.Orders, captured)
	return err
}

// unknownSessions asks the provider about the orders whose payment it did not
// list.
func unknownSessions(ctx context.Context, from Provider, orders []Order, captured map[string]bool) (map[string]bool, error) {
	var sessions []string
	for _, o := range orders {
		if !captured[o.Payment] {
			sessions = append(sessions, o.Session)
		}
	}
	known := make([]bool, len(sessions))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sessionCallsMax)
	for i, session := range sessions {
		group.Go(func() (err error) {
			known[i], err = from.KnowsSession(ctx, session)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	unknown := make(map[string]bool)
	for i, session := range sessions {
		if !known[i] {
			unknown[session] = true
		}
	}
	return unknown, nil
}

// ownership tells whose a payment is. The provider does not know of sales.
type ownership struct {
	orders    Orders
	ours      map[domain.OrderID]bool // orders that the sale knows of, sold or not
	payments  map[string]bool         // payments that are recorded in the sale
	elsewhere map[domain.OrderID]bool // orders that another sale is busy with
}

func newOwnership(s *Snapshot, orders Orders) *ownership {
	o := &ownership{orders: orders, ours: make(map[domain.OrderID]bool), payments: make(map[string]bool), elsewhere: make(map[domain.OrderID]bool)}
	for _, order := range s.Orders {
		o.ours[order.ID], o.payments[order.Payment] = true, true
	}
	for _, r := range s.Refunds {
		o.payments[r.Capture.Payment] = true
	}
	for _, bookings := range s.Bookings {
		for _, b := range bookings {
			o.ours[b.Order] = true
		}
	}
	for _, w := range s.Workflows {
		switch w.SaleID {
		case s.Sale.ID:
			o.ours[w.Order] = true
		case "":
		default:
			o.elsewhere[w.Order] = true
		}
	}
	return o
}

// keep filters a stream down to what is the sale's, or nobody's. Those that it
// cannot tell it looks up, many at a time.
func keep[T any](ctx context.Context, o *ownership, stream iter.Seq2[T, error], keys func(T) (domain.OrderID, string)) ([]T, error) {
	var kept, unclear []T
	settle := func() error {
		payments := make([]string, 0, len(unclear))
		for _, item := range unclear {
			_, payment := keys(item)
			payments = append(payments, payment)
		}
		recorded, err := o.orders.RecordedPayments(ctx, payments)
		for _, item := range unclear {
			if _, payment := keys(item); !recorded[payment] {
				kept = append(kept, item)
			}
		}
		unclear = unclear[:0]
		return err
	}
	for item, err := range stream {
		if err != nil {
			return nil, err
		}
		order, payment := keys(item)
		switch {
		case o.ours[order] || o.payments[payment]:
			kept = append(kept, item)
		case o.elsewhere[order]:
		default:
			unclear = append(unclear, item)
		}
		if len(unclear) == lookupsMax {
			if err := settle(); err != nil {
				return nil, err
			}
		}
	}
	if len(unclear) == 0 {
		return kept, nil
	}
	return kept, settle()
}

func collect[T any](stream iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for item, err := range stream {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}
