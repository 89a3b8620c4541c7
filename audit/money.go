package audit

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"boxoffice/domain"

	"golang.org/x/sync/errgroup"
)

// Limits of what is asked one by one.
const (
	lookupsMax  = 1000   // payments and orders per request
	asksMax     = 8      // concurrent questions
	sessionsMax = 10_000 // sessions asked for at the provider, in one look
	looksMax    = 2_000  // overdue workflows asked for at Temporal, in one look
)

// A subject is what an audit is about: one sale, or what belongs to no sale.
type subject struct {
	sale    *domain.Sale
	ledgers map[uint32]bool // of the sale; of all sales where it is of none
	lone    bool
	// authorizes: money may be authorised before it is captured.
	authorizes bool
}

func ofSale(sale *domain.Sale) subject {
	return subject{sale: sale, ledgers: ledgersOf(sale), authorizes: authorizes(sale)}
}

func ofNoSale(sales []*domain.Sale) subject {
	return subject{sale: &domain.Sale{}, ledgers: ledgersOf(sales...), lone: true, authorizes: slices.ContainsFunc(sales, authorizes)}
}

func authorizes(sale *domain.Sale) bool { return sale.Capture == domain.CaptureAfterSeats }

func (s *subject) name() string {
	if s.lone {
		return "what belongs to no sale"
	}
	return "sale " + s.sale.ID
}

// has decides whose an unrecorded order is, by the ledger in which it was ever placed, if
// any. Each order has exactly one owner, so the same money never shows twice.
func (s *subject) has(ledger uint32, placed bool) bool {
	if s.lone {
		return !placed || !s.ledgers[ledger]
	}
	return placed && s.ledgers[ledger]
}

// stockLedgers are the ledgers that are counted: those of the classes and the perk.
func stockLedgers(sale *domain.Sale) map[uint32]bool {
	ledgers := make(map[uint32]bool)
	for _, c := range sale.Classes {
		ledgers[c.Ledger] = true
	}
	if sale.Perk != nil {
		ledgers[sale.Perk.Ledger] = true
	}
	return ledgers
}

func ledgersOf(sales ...*domain.Sale) map[uint32]bool {
	ledgers := make(map[uint32]bool)
	for _, sale := range sales {
		for ledger := range stockLedgers(sale) {
			ledgers[ledger] = true
		}
		ledgers[sale.QuotaLedger] = true
		if sale.OneCheckoutPerBuyer {
			ledgers[sale.CheckoutLedger] = true
		}
		if sale.HasHidden() {
			ledgers[sale.CodeLedger] = true
		}
	}
	return ledgers
}

// listedBefore is how much older than its sale a payment may be by the provider's clock,
// and still be listed. It is far more than clocks ever differ.
const listedBefore = 24 * time.Hour

// since is from when on the provider's lists can have something of the subject; zero: what
// belongs to no sale may be as old as anything.
func (of *subject) since() time.Time {
	if of.lone || of.sale.CreatedAt.IsZero() {
		return time.Time{}
	}
	return of.sale.CreatedAt.Add(-listedBefore)
}

// readProvider keeps what concerns the subject.
func (s *Snapshot) readProvider(ctx context.Context, from Sources, of subject) (err error) {
	if since := of.since(); from.Since != nil && !since.IsZero() {
		from.Provider = from.Since(since)
	}
	ours := newOwnership(s, from, of)
	s.Captures, err = keep(ctx, ours, from.Provider.Captures(ctx), func(c domain.Capture) (domain.OrderID, string) { return c.Order, c.Payment })
	if err != nil {
		return fmt.Errorf("captures: %w", err)
	}
	s.Acknowledged, err = keep(ctx, ours, from.Provider.Deliveries(ctx), func(e domain.PaymentEvent) (domain.OrderID, string) { return e.Order, e.Payment })
	if err != nil {
		return fmt.Errorf("deliveries: %w", err)
	}
	s.Authorizes, s.Authorized = of.authorizes, nil
	if of.authorizes { // no question to the provider where no sale asks for it
		s.Authorized, err = keep(ctx, ours, from.Provider.Authorizations(ctx), func(c domain.Capture) (domain.OrderID, string) { return c.Order, c.Payment })
		if err != nil {
			return fmt.Errorf("authorisations: %w", err)
		}
	}
	captured := make(map[string]bool, len(s.Captures))
	for _, c := range s.Captures {
		captured[c.Payment] = true
	}
	s.Returned = nil
	for r, err := range from.Provider.Refunds(ctx) {
		if err != nil {
			return fmt.Errorf("refunds: %w", err)
		}
		if captured[r.Payment] {
			s.Returned = append(s.Returned, r)
		}
	}
	s.Disputes = nil
	for d, err := range from.Provider.Disputes(ctx) {
		if err != nil {
			return fmt.Errorf("disputes: %w", err)
		}
		if captured[d.Payment] {
			s.Disputes = append(s.Disputes, d)
		}
	}
	return s.askForSessions(ctx, from.Provider, captured)
}

// askForSessions asks the provider about the orders whose payment it did not list.
func (s *Snapshot) askForSessions(ctx context.Context, from Provider, captured map[string]bool) error {
	s.UnknownSessions, s.UnaskedSessions = make(map[string]bool), make(map[string]bool)
	var sessions []string
	for _, o := range s.Orders {
		switch {
		case captured[o.Payment], domain.ProviderOf(o.Session) == domain.FreeProvider:
		case len(sessions) == sessionsMax:
			s.UnaskedSessions[o.Session] = true
		default:
			sessions = append(sessions, o.Session)
		}
	}
	known := make([]bool, len(sessions))
	err := each(ctx, sessions, func(ctx context.Context, i int, session string) (err error) {
		known[i], err = from.KnowsSession(ctx, session)
		return err
	})
	if err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	for i, session := range sessions {
		if !known[i] {
			s.UnknownSessions[session] = true
		}
	}
	return nil
}

// each runs f for many items, a few at a time.
func each[T any](ctx context.Context, things []T, ask func(ctx context.Context, i int, thing T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(asksMax)
	for i, thing := range things {
		group.Go(func() error { return ask(ctx, i, thing) })
	}
	return group.Wait()
}

// ownership says which sale a payment belongs to. The provider does not know sales.
type ownership struct {
	from      Sources
	of        subject
	ours      map[domain.OrderID]bool // orders that the sale knows of, sold or not
	payments  map[string]bool         // payments that are recorded in the sale
	elsewhere map[domain.OrderID]bool // orders that another sale is working on
}

func newOwnership(s *Snapshot, from Sources, of subject) *ownership {
	o := &ownership{from: from, of: of, ours: make(map[domain.OrderID]bool), payments: make(map[string]bool), elsewhere: make(map[domain.OrderID]bool)}
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
		if w.SaleID == s.Sale.ID {
			o.ours[w.Order] = true
		} else {
			o.elsewhere[w.Order] = true
		}
	}
	return o
}

// keep filters a stream down to the subject's entries. It looks up those that it cannot
// tell, many at a time.
func keep[T any](ctx context.Context, o *ownership, stream iter.Seq2[T, error], keys func(T) (domain.OrderID, string)) ([]T, error) {
	var kept, unclear []T
	settle := func() error {
		if len(unclear) == 0 {
			return nil
		}
		orders, payments := make([]domain.OrderID, len(unclear)), make([]string, len(unclear))
		for i, item := range unclear {
			orders[i], payments[i] = keys(item)
		}
		recorded, err := o.from.Orders.RecordedPayments(ctx, payments)
		if err != nil {
			return err
		}
		placed, err := o.from.Ledger.Placed(ctx, orders)
		if err != nil {
			return err
		}
		for i, item := range unclear {
			ledger, there := placed[orders[i]]
			if !recorded[payments[i]] && o.of.has(ledger, there) {
				kept = append(kept, item)
			}
		}
		unclear = unclear[:0]
		return nil
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
