package orders

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// errPaymentUnrecorded is why the news of a reversal has to come again.
var errPaymentUnrecorded = errors.New("its payment is not on record, or not yet: if the database was put back, run `boxoffice restore-orders`")

// RecordReversal records the news of a reversal, with its event, if it is news. News may
// come twice, and in another order than they happened. A payment that is not recorded is
// an UnknownError: its record may be on the way, or lost.
func (s *Store) RecordReversal(ctx context.Context, r domain.Reversal) (noted domain.NotedReversal, err error) {
	if err := r.Check(); err != nil {
		return domain.NotedReversal{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The reversal cannot be recorded.", Err: err}
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if noted, err = reversedPayment(ctx, tx, r.Payment); err != nil {
			return err
		}
		var before domain.ReversalState
		var payment string
		err := tx.QueryRow(ctx, `SELECT state, payment FROM reversals WHERE id = $1`, r.ID).Scan(&before, &payment)
		isNew := errors.Is(err, pgx.ErrNoRows)
		switch {
		case err != nil && !isNew:
			return err
		case !isNew && payment != r.Payment:
			return &domain.Error{
				Code: domain.CodeInvalid, Detail: "The reversal was recorded for another payment.", Err: fmt.Errorf("reversal %s: %s, now %s", r.ID, payment, r.Payment),
			}
		}
		if noted.Changed = isNew || r.State.Replaces(before); !noted.Changed {
			return nil
		}
		return writeReversal(ctx, tx, &r, &noted, before)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.NotedReversal{}, &domain.UnknownError{Op: "record reversal " + r.ID + " of payment", ID: r.Payment, Err: errPaymentUnrecorded}
	}
	return noted, writeFailed("record reversal", r.ID, err)
}

// reversedPayment finds what a payment bought, and locks it: two who bring the same news
// take turns.
func reversedPayment(ctx context.Context, tx pgx.Tx, payment string) (noted domain.NotedReversal, err error) {
	var (
		order                         pgtype.UUID
		capture                       = domain.Capture{Payment: payment}
		sale, status, reason          *string
		captured, requested, refunded *time.Time
	)
	err = tx.QueryRow(ctx, `
		SELECT p.order_id, p.session, p.amount_minor, p.currency, p.captured_at, coalesce(o.sale_id, r.sale_id), o.status,
		       r.reason, r.requested_at, r.refunded_at
		FROM payments p
		LEFT JOIN orders o ON o.id = p.order_id AND o.payment = p.id
		LEFT JOIN refunds r ON r.payment = p.id
		WHERE p.id = $1 FOR UPDATE OF p`, payment).
		Scan(&order, &capture.Session, &capture.AmountMinor, &capture.Currency, &captured, &sale, &status, &reason, &requested, &refunded)
	if err != nil {
		return noted, err
	}
	noted.Order = order.Bytes
	capture.Order, capture.CapturedAt = noted.Order, fromNull(captured)
	if sale != nil {
		noted.SaleID = *sale
	}
	if status != nil {
		noted.Status = domain.OrderStatus(*status)
		if err := noted.Status.Check(); err != nil {
			return noted, err
		}
	}
	if reason != nil {
		noted.Refund = &domain.Refund{
			Capture: capture, SaleID: noted.SaleID, Reason: domain.RefundReason(*reason), RequestedAt: fromNull(requested), RefundedAt: fromNull(refunded),
		}
	}
	return noted, nil
}

func writeReversal(ctx context.Context, tx pgx.Tx, r *domain.Reversal, noted *domain.NotedReversal, before domain.ReversalState) error {
	var batch pgx.Batch
	batch.Queue(`
		INSERT INTO reversals (id, kind, payment, order_id, sale_id, amount_minor, currency, state, reason, happened_at, respond_by)
		VALUES ($1, $2, $3, $4, nullif($5, ''), $6, $7, $8, $9, $10, $11)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, amount_minor = excluded.amount_minor, reason = excluded.reason,
		                               respond_by = excluded.respond_by, changed_at = now()`,
		r.ID, string(r.Kind), r.Payment, uuidOf(noted.Order), noted.SaleID, r.AmountMinor, r.Currency, string(r.State), r.Reason,
		stored(r.At), nullTime(r.RespondBy))
	for _, data := range domain.ReversalEvents(r, noted, before) {
		batch.Queue(`INSERT INTO outbox (event, sale_id, order_id, payment, payload) VALUES ($1, nullif($2, ''), $3, $4, $5)`,
			string(data.Type()), noted.SaleID, uuidOf(noted.Order), r.Payment, data)
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// ReversalsOf returns the reversals of payments that named one of the orders, oldest first.
func (s *Store) ReversalsOf(ctx context.Context, orders []domain.OrderID) (map[domain.OrderID][]domain.Reversal, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT order_id, `+reversalColumns+` FROM reversals WHERE order_id = ANY($1) ORDER BY happened_at, id COLLATE "C"`, uuidsOf(orders))
	if err != nil {
		return nil, readFailed("list reversals of", "orders", err)
	}
	of := make(map[domain.OrderID][]domain.Reversal)
	var order pgtype.UUID
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		r, err := scanReversal(row, &order)
		of[order.Bytes] = append(of[order.Bytes], r)
		return struct{}{}, err
	})
	return of, readFailed("list reversals of", "orders", err)
}

// RecordedReversals streams the reversals of a sale by id; with an empty id, those of no
// sale. The stream ends at the first error.
func (s *Store) RecordedReversals(ctx context.Context, saleID string) iter.Seq2[domain.Reversal, error] {
	return pages(func(after string) ([]domain.Reversal, string, error) {
		ctx, cancel := s.bounded(ctx)
		defer cancel()
		rows, err := s.pool.Query(ctx, `
			SELECT `+reversalColumns+` FROM reversals
			WHERE `+ofSale(saleID)+` AND id COLLATE "C" > $2 ORDER BY id COLLATE "C" LIMIT $3`, saleID, after, streamPage)
		if err != nil {
			return nil, after, readFailed("stream reversals of", saleID, err)
		}
		page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.Reversal, error) { return scanReversal(row) })
		if err != nil || len(page) == 0 {
			return nil, after, readFailed("stream reversals of", saleID, err)
		}
		return page, page[len(page)-1].ID, nil
	})
}

const reversalColumns = `id, kind, payment, amount_minor, currency, state, reason, happened_at, respond_by`

func scanReversal(row pgx.CollectableRow, before ...any) (r domain.Reversal, err error) {
	var respondBy *time.Time
	err = row.Scan(append(before, &r.ID, &r.Kind, &r.Payment, &r.AmountMinor, &r.Currency, &r.State, &r.Reason, &r.At, &respondBy)...)
	if err == nil {
		err = r.State.Check()
	}
	r.At, r.RespondBy = r.At.UTC(), fromNull(respondBy)
	return r, err
}

// OpenDisputes counts the disputes that are not decided, over all sales.
func (s *Store) OpenDisputes(ctx context.Context) (domain.Disputes, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var d domain.Disputes
	var respondBy *time.Time
	err := s.pool.QueryRow(ctx, `
		SELECT count(*), count(respond_by), min(respond_by) FROM reversals WHERE kind = 'dispute' AND state IN ('inquiry', 'open')`).
		Scan(&d.Open, &d.Unanswered, &respondBy)
	d.RespondBy = fromNull(respondBy)
	return d, readFailed("count", "disputes that are open", err)
}
