package orders

import (
	"context"
	"fmt"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// BeginOrderRefund marks a paid order as refunding, so that this is known before the provider
// is asked, and adds its event. It returns an order that is already refunding or refunded as
// it is. It fails with a *domain.Error with CodeNotPaid if no such order was sold.
func (s *Store) BeginOrderRefund(ctx context.Context, id domain.OrderID, reason domain.RefundReason, at time.Time) (domain.SoldOrder, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		WITH refunding AS (
			UPDATE orders SET status = 'refunding', refunding_at = $2
			WHERE id = $1 AND status = 'paid'
			RETURNING id, payment, bought, sale_id, metadata
		), event AS (
			INSERT INTO outbox (event, sale_id, order_id, payment, payload)
			SELECT $4, r.sale_id, r.id, r.payment,
			       jsonb_build_object('order', replace(r.id::text, '-', ''), 'sale', r.sale_id,
			                          'payment', r.payment, 'amount_minor', p.amount_minor, 'currency', p.currency,
			                          'reason', $3::text, 'requested_at', $2::timestamptz,
			                          'lines', (SELECT jsonb_agg(jsonb_build_object('class', l.class, 'ledger', l.ledger, 'quantity', l.quantity,
			                                                                        'unit_price_minor', l.unit_price_minor) ORDER BY l.class COLLATE "C")
			                                    FROM order_lines l WHERE l.order_id = r.id))
			       || CASE WHEN r.metadata IS NULL THEN '{}' ELSE jsonb_build_object('metadata', r.metadata) END
			FROM refunding r JOIN payments p ON p.id = r.payment
		)
		INSERT INTO refunds (payment, order_id, bought, sale_id, reason, requested_at)
		SELECT payment, id, bought, sale_id, $3, $2 FROM refunding`,
		uuidOf(id), stored(at), string(reason), string(domain.EventOrderRefundBegun))
	if err != nil {
		return domain.SoldOrder{}, writeFailed("begin refund of order", id.String(), err)
	}
	order, err := s.Order(ctx, id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return domain.SoldOrder{}, &domain.Error{Code: domain.CodeNotPaid, Detail: "The order has no tickets to refund."}
	}
	return order, err
}

// BeginRefund records that a payment which bought nothing is being refunded. Repeated, it
// returns what the first call stored. Errors: *domain.Error with CodeExists if the payment
// bought tickets, see BeginOrderRefund; with CodeInternal if it did not, but the database
// refuses the refund itself.
func (s *Store) BeginRefund(ctx context.Context, r domain.Refund) (domain.Refund, error) {
	if r.Capture.Payment == "" {
		return domain.Refund{}, domain.Invalid("payment", "must have an id")
	}
	if r.Capture.Authorized {
		return domain.Refund{}, onlyAuthorized(r.Capture)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		WITH new_payment AS (
			INSERT INTO payments (id, order_id, session, amount_minor, currency, captured_at, bought)
			VALUES ($1, $2, $3, $4, $5, $6, 'nothing')
		)
		INSERT INTO refunds (payment, order_id, bought, sale_id, reason, requested_at)
		VALUES ($1, $2, 'nothing', nullif($7, ''), $8, $9)`,
		r.Capture.Payment, uuidOf(r.Capture.Order), r.Capture.Session, r.Capture.AmountMinor, r.Capture.Currency,
		nullTime(r.Capture.CapturedAt), r.SaleID, string(r.Reason), stored(r.RequestedAt))
	if err != nil && !isUniqueViolation(err) && !neverHappens(err) {
		return domain.Refund{}, writeFailed("begin refund of payment", r.Capture.Payment, err)
	}
	there, readErr := s.queryRefunds(ctx, `WHERE p.id = $1 AND p.bought = 'nothing'`, r.Capture.Payment)
	switch {
	case readErr != nil:
		return domain.Refund{}, readFailed("read refund of payment", r.Capture.Payment, readErr)
	case len(there) == 0 && neverHappens(err):
		return domain.Refund{}, s.unrecordedRefund(ctx, r.Capture.Payment, err)
	case len(there) == 0:
		return domain.Refund{}, &domain.Error{Code: domain.CodeExists, Detail: "This payment bought tickets: refund their order."}
	}
	return there[0], nil
}

// unrecordedRefund keeps a payment with tickets from going back because something else was
// wrong with the refund.
func (s *Store) unrecordedRefund(ctx context.Context, payment string, refused error) error {
	fates, err := s.fates(ctx, []string{payment})
	if err != nil {
		return readFailed("read payment", payment, err)
	}
	if fates[payment].bought == boughtTickets {
		return &domain.Error{Code: domain.CodeExists, Detail: "This payment bought tickets: refund their order."}
	}
	return writeFailed("begin refund of payment", payment, refused)
}

// Owed is the money that is not refunded yet.
type Owed struct {
	Refunds int64
	Oldest  time.Time // when the first of them was requested; zero if there is none
}

// RefundsOwed returns what the provider has not given back yet, over all sales.
func (s *Store) RefundsOwed(ctx context.Context) (Owed, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var (
		owed   Owed
		oldest *time.Time
	)
	err := s.pool.QueryRow(ctx, `SELECT count(*), min(requested_at) FROM refunds WHERE refunded_at IS NULL`).Scan(&owed.Refunds, &oldest)
	owed.Oldest = fromNull(oldest)
	return owed, readFailed("count", "refunds that are owed", err)
}

// FinishRefund records that the provider has given a payment back, for either kind of refund,
// and adds its event. It may be repeated, and the first time stays. It fails with a
// *domain.Error with CodeNotFound if no refund was begun.
func (s *Store) FinishRefund(ctx context.Context, payment string, at time.Time) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var begun bool
	err := s.pool.QueryRow(ctx, `
		WITH refunded AS (
			UPDATE refunds SET refunded_at = $2
			WHERE payment = $1 AND refunded_at IS NULL
			RETURNING *
		), returned AS (
			UPDATE orders SET status = 'refunded', refunded_at = $2
			FROM refunded WHERE orders.id = refunded.order_id AND refunded.bought = 'tickets'
		), event AS (
			INSERT INTO outbox (event, sale_id, order_id, payment, payload)
			SELECT CASE r.bought WHEN 'tickets' THEN 'order.refunded' ELSE 'payment.refunded' END,
			       r.sale_id, r.order_id, r.payment,
			       jsonb_build_object('order', replace(r.order_id::text, '-', ''), 'sale', r.sale_id,
			                          'payment', r.payment, 'amount_minor', p.amount_minor, 'currency', p.currency,
			                          'reason', r.reason, 'refunded_at', r.refunded_at)
			       || CASE WHEN o.metadata IS NULL THEN '{}' ELSE jsonb_build_object('metadata', o.metadata) END
			FROM refunded r JOIN payments p ON p.id = r.payment
			LEFT JOIN orders o ON o.id = r.order_id AND r.bought = 'tickets'
		)
		SELECT EXISTS (SELECT FROM refunds WHERE payment = $1)`,
		payment, stored(at)).Scan(&begun)
	if err == nil && !begun {
		err = domain.NotFound("refund")
	}
	return writeFailed("finish refund of payment", payment, err)
}

// RefundsOfOrder returns the refunds of all payments that named the order, oldest first,
// whether or not they bought its tickets.
func (s *Store) RefundsOfOrder(ctx context.Context, id domain.OrderID) ([]domain.Refund, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	refunds, err := s.queryRefunds(ctx, `WHERE p.order_id = $1 ORDER BY r.requested_at, p.id COLLATE "C"`, uuidOf(id))
	return refunds, readFailed("list refunds of order", id.String(), err)
}

func (s *Store) queryRefunds(ctx context.Context, where string, args ...any) ([]domain.Refund, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT p.id, p.session, p.order_id, p.amount_minor, p.currency, p.captured_at,
		       coalesce(r.sale_id, ''), r.reason, r.requested_at, r.refunded_at
		FROM refunds r JOIN payments p ON p.id = r.payment `+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanRefund)
}

func scanRefund(row pgx.CollectableRow) (domain.Refund, error) {
	var (
		r                  domain.Refund
		order              pgtype.UUID
		captured, refunded *time.Time
	)
	err := row.Scan(&r.Capture.Payment, &r.Capture.Session, &order, &r.Capture.AmountMinor, &r.Capture.Currency, &captured,
		&r.SaleID, &r.Reason, &r.RequestedAt, &refunded)
	if err != nil {
		return domain.Refund{}, fmt.Errorf("refund: %w", err)
	}
	r.Capture.Order, r.Capture.CapturedAt = order.Bytes, fromNull(captured)
	r.RequestedAt, r.RefundedAt = r.RequestedAt.UTC(), fromNull(refunded)
	return r, nil
}
