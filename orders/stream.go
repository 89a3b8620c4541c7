package orders

import (
	"context"
	"iter"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// streamPage is how many rows a stream holds at once. It reads pages instead of one long
// query: a slow reader must not keep a connection and a snapshot.
const streamPage = 1000

// RecordedOrders streams the orders of a sale by id. It may or may not see an order that
// is recorded meanwhile. The stream ends at the first error.
func (s *Store) RecordedOrders(ctx context.Context, saleID string) iter.Seq2[domain.RecordedOrder, error] {
	return pages(func(after domain.OrderID) ([]domain.RecordedOrder, domain.OrderID, error) {
		page, err := s.recordedPage(ctx, saleID, after)
		if err != nil || len(page) == 0 {
			return nil, after, readFailed("stream orders of", saleID, err)
		}
		return page, page[len(page)-1].ID, nil
	})
}

func (s *Store) recordedPage(ctx context.Context, saleID string, after domain.OrderID) ([]domain.RecordedOrder, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT o.id, o.status, o.payment, p.session, o.perk_ledger IS NOT NULL,
		       (SELECT json_object_agg(class, n) FROM (
		           SELECT class, count(*) AS n FROM tickets WHERE order_id = o.id GROUP BY class) counted),
		       p.amount_minor, p.currency,
		       (SELECT coalesce(sum(quantity * unit_price_minor), 0)::bigint FROM order_lines WHERE order_id = o.id)
		FROM orders o JOIN payments p ON p.id = o.payment
		WHERE o.sale_id = $1 AND o.id > $2 ORDER BY o.id LIMIT $3`, saleID, uuidOf(after), streamPage)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.RecordedOrder, error) {
		var (
			o  domain.RecordedOrder
			id pgtype.UUID
		)
		err := row.Scan(&id, &o.Status, &o.Payment, &o.Session, &o.PerkTaken, &o.Tickets, &o.AmountMinor, &o.Currency, &o.LinesMinor)
		if err == nil {
			err = o.Status.Check()
		}
		o.ID = id.Bytes
		return o, err
	})
}

// RecordedRefunds streams the refunds of a sale by payment; with an empty id, those of no
// sale at all (the order is unknown). The stream ends at the first error.
func (s *Store) RecordedRefunds(ctx context.Context, saleID string) iter.Seq2[domain.Refund, error] {
	return pages(func(after string) ([]domain.Refund, string, error) {
		ctx, cancel := s.bounded(ctx)
		defer cancel()
		page, err := s.queryRefunds(
			ctx,
			`WHERE r.`+ofSale(saleID)+` AND r.payment COLLATE "C" > $2 ORDER BY r.payment COLLATE "C" LIMIT $3`,
			saleID,
			after,
			streamPage,
		)
		if err != nil || len(page) == 0 {
			return nil, after, readFailed("stream refunds of", saleID, err)
		}
		return page, page[len(page)-1].Capture.Payment, nil
	})
}

// ofSale is the condition on a column sale_id, with the sale as parameter 1. An index
// serves it, with a sale and without.
func ofSale(saleID string) string {
	if saleID == "" {
		return `sale_id IS NULL AND $1 = ''`
	}
	return `sale_id = $1`
}

// pages turns a function that reads the page after a cursor into a stream.
func pages[T, Cursor any](next func(Cursor) ([]T, Cursor, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var cursor Cursor
		for {
			page, last, err := next(cursor)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if len(page) < streamPage {
				return
			}
			cursor = last
		}
	}
}

// RecordedPayments returns which of the payments are recorded, for whatever sale: they
// bought tickets or are being refunded.
func (s *Store) RecordedPayments(ctx context.Context, payments []string) (map[string]bool, error) {
	recorded := make(map[string]bool)
	for start := 0; start < len(payments); start += streamPage {
		chunk := payments[start:min(start+streamPage, len(payments))]
		if err := s.addRecorded(ctx, chunk, recorded); err != nil {
			return nil, readFailed("look up", "payments", err)
		}
	}
	return recorded, nil
}

func (s *Store) addRecorded(ctx context.Context, payments []string, recorded map[string]bool) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	fates, err := s.fates(ctx, payments)
	for payment := range fates {
		recorded[payment] = true
	}
	return err
}

// EventCounts counts the log's events of a sale and what they stand for, in one snapshot,
// so that the two differ only if one was lost. With an empty id, it counts those of no
// sale. What lost its event to the event's age counts for neither; nor does a refund that
// began in a release before order.refund_begun.
func (s *Store) EventCounts(ctx context.Context, saleID string) ([]domain.EventCount, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	const kinds = `('order.paid'), ('order.refund_begun'), ('order.refunded'), ('payment.refunded')`
	of := ofSale(saleID)
	rows, err := s.pool.Query(ctx, `
		WITH told AS (
			SELECT 'order.paid' AS event, payment, paid_at AS happened_at FROM orders WHERE `+of+`
			UNION ALL SELECT 'order.refund_begun', payment, '-infinity' FROM refunds WHERE `+of+` AND bought = 'tickets'
			UNION ALL SELECT 'order.refunded', payment, refunded_at FROM orders WHERE `+of+` AND status = 'refunded'
			UNION ALL SELECT 'payment.refunded', payment, refunded_at FROM refunds
			          WHERE `+of+` AND bought = 'nothing' AND refunded_at IS NOT NULL
		), sent AS (
			SELECT event, payment FROM outbox WHERE `+of+` AND payment IS NOT NULL
		), matched AS (
			SELECT event, payment, sent.event IS NOT NULL AS is_sent,
			       told.event IS NOT NULL AND (sent.event IS NOT NULL OR event_log.dropped_until + interval '1 day' <= told.happened_at) AS is_due
			FROM told FULL JOIN sent USING (event, payment) CROSS JOIN event_log
		)
		SELECT kind.event, count(*) FILTER (WHERE is_sent), count(*) FILTER (WHERE is_due),
		       (array_agg(payment ORDER BY payment COLLATE "C") FILTER (WHERE is_sent <> is_due))[1:20]
		FROM (VALUES `+kinds+`) kind (event) LEFT JOIN matched USING (event)
		GROUP BY kind.event ORDER BY kind.event COLLATE "C"`, saleID)
	if err != nil {
		return nil, readFailed("count events of", saleID, err)
	}
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[domain.EventCount])
	return counts, readFailed("count events of", saleID, err)
}
