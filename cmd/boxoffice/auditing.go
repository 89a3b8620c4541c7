package main

import (
	"context"
	"iter"
	"time"

	"boxoffice/api"
	"boxoffice/audit"
	"boxoffice/checkouts"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/orders"
	"boxoffice/payments"
)

// The four sources of the audit, each in the audit's own words.

type auditor struct {
	catalog *api.Catalog
	sources audit.Sources
}

func newAuditor(p *parts, catalog *api.Catalog) auditor {
	return auditor{catalog: catalog, sources: audit.Sources{
		Ledger:    auditedLedger{p.book},
		Orders:    auditedOrders{p.store},
		Provider:  auditedProvider{p.provider},
		Workflows: auditedWorkflows{desk: p.desk, catalog: catalog},
	}}
}

// Audit implements api.Auditor.
func (a auditor) Audit(ctx context.Context, saleID string) (any, error) {
	sale, err := a.catalog.Sale(ctx, saleID)
	if err != nil {
		return nil, err
	}
	return audit.Run(ctx, a.sources, sale, audit.Options{})
}

type auditedLedger struct{ *ledger.Book }

func (l auditedLedger) Bookings(ctx context.Context, number uint32) ([]audit.Booking, error) {
	tickets, err := l.Book.Bookings(ctx, number)
	bookings := make([]audit.Booking, 0, len(tickets))
	for order, t := range tickets {
		bookings = append(bookings, booking(order, t))
	}
	return bookings, err
}

func booking(order domain.OrderID, t ledger.Tickets) audit.Booking {
	return audit.Booking{Order: order, Pending: t.Held, Posted: t.Sold, PostedAt: t.SoldAt}
}

func (l auditedLedger) Quota(ctx context.Context, sale *domain.Sale) (audit.Quota, error) {
	uses, err := l.QuotaUses(ctx, sale)
	if err != nil {
		return audit.Quota{}, err
	}
	level, err := l.QuotaLevel(ctx, sale)
	if err != nil {
		return audit.Quota{}, err
	}
	quota := audit.Quota{Held: level.Held, Sold: level.Sold, Uses: make([]audit.QuotaUse, 0, len(uses))}
	for _, u := range uses {
		quota.Uses = append(quota.Uses, audit.QuotaUse{Booking: booking(u.Order, u.Tickets), Buyer: u.Buyer})
	}
	return quota, nil
}

type auditedOrders struct{ *orders.Store }

func (o auditedOrders) RecordedOrders(ctx context.Context, saleID string) iter.Seq2[audit.Order, error] {
	return each(o.Store.RecordedOrders(ctx, saleID), func(r orders.RecordedOrder) audit.Order { return audit.Order(r) })
}

func (o auditedOrders) EventCounts(ctx context.Context, saleID string) ([]audit.EventCount, error) {
	counted, err := o.Store.EventCounts(ctx, saleID)
	counts := make([]audit.EventCount, 0, len(counted))
	for _, c := range counted {
		counts = append(counts, audit.EventCount(c))
	}
	return counts, err
}

type auditedProvider struct{ *payments.Client }

func (p auditedProvider) Refunds(ctx context.Context) iter.Seq2[audit.Returned, error] {
	return each(p.Client.Refunds(ctx), func(r payments.Refund) audit.Returned {
		return audit.Returned{Payment: r.Payment, AmountMinor: r.AmountMinor, Currency: r.Currency}
	})
}

func (p auditedProvider) Deliveries(ctx context.Context) iter.Seq2[domain.PaymentEvent, error] {
	return each(p.Client.Deliveries(ctx, payments.DeliveryAcknowledged), func(d payments.Delivery) domain.PaymentEvent { return d.Event })
}

func (p auditedProvider) KnowsSession(ctx context.Context, session string) (bool, error) {
	known, err := p.Client.Session(ctx, session)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return false, nil
	}
	// Giving a hold up forbids its session at the provider, seen or not: that
	// alone does not make a session known.
	return err == nil && known.Opened(), err
}

type auditedWorkflows struct {
	desk    *checkouts.Desk
	catalog *api.Catalog
}

func (w auditedWorkflows) Unfinished(ctx context.Context) iter.Seq2[audit.Workflow, error] {
	return each(w.desk.Unfinished(ctx), func(u checkouts.Unfinished) audit.Workflow {
		return audit.Workflow{
			ID: u.ID, Order: u.Order, SaleID: u.SaleID, StartedAt: u.StartedAt, Failed: u.Failed, Deadline: w.deadline(ctx, u),
		}
	})
}

// deadline is when a checkout gives up by itself; zero for what waits for nobody.
func (w auditedWorkflows) deadline(ctx context.Context, u checkouts.Unfinished) time.Time {
	if !u.Checkout || u.SaleID == "" {
		return time.Time{}
	}
	sale, err := w.catalog.Sale(ctx, u.SaleID)
	if err != nil {
		return time.Time{}
	}
	return u.StartedAt.Add(sale.HoldTimeout)
}

// each translates a stream.
func each[From, To any](stream iter.Seq2[From, error], translate func(From) To) iter.Seq2[To, error] {
	return func(yield func(To, error) bool) {
		for value, err := range stream {
			if err != nil {
				var none To
				yield(none, err)
				return
			}
			if !yield(translate(value), nil) {
				return
			}
		}
	}
}
