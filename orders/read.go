package orders

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Order returns a sold order with its tickets. It fails with a *domain.Error with
// CodeNotFound if none was recorded, which is also the case while a checkout is under
// way, or if it ended without a sale.
func (s *Store) Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	found, err := s.queryOrders(ctx, `WHERE o.id = $1`, uuidOf(id))
	switch {
	case err != nil:
		return domain.SoldOrder{}, readFailed("read order", id.String(), err)
	case len(found) == 0:
		return domain.SoldOrder{}, domain.NotFound("order")
	}
	return found[0], nil
}

// FindOrders returns the sold orders that match a filter, sorted by id. The last id of a
// page is After of the next; a page shorter than Limit is the last. A search by address
// looks at all orders of the sale: an index would cost every paid order.
func (s *Store) FindOrders(ctx context.Context, f domain.OrderFilter) ([]domain.SoldOrder, error) {
	if f.Limit < 1 || f.Limit > domain.OrdersPageMax {
		return nil, domain.Invalid("limit", fmt.Sprintf("must be 1–%d", domain.OrdersPageMax))
	}
	where, args := `WHERE o.id > $1`, []any{uuidOf(f.After)}
	must := func(condition string, value any) {
		args = append(args, value)
		where += fmt.Sprintf(" AND "+condition, len(args))
	}
	if f.SaleID != "" {
		must(`o.sale_id = $%d`, f.SaleID)
	}
	if f.Email != "" {
		must(`o.email = $%d`, f.Email)
	}
	if f.Status != "" {
		must(`o.status = $%d`, string(f.Status))
	}
	if f.TicketCode != "" {
		must(`o.id = (SELECT order_id FROM tickets WHERE code = $%d)`, f.TicketCode)
	}
	args = append(args, f.Limit)
	where += fmt.Sprintf(` ORDER BY o.id LIMIT $%d`, len(args))
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	found, err := s.queryOrders(ctx, where, args...)
	return found, readFailed("list orders of", f.SaleID, err)
}

// queryOrders reads whole orders in one round trip.
func (s *Store) queryOrders(ctx context.Context, where string, args ...any) ([]domain.SoldOrder, error) {
	return queryOrders(ctx, s.pool, where, args...)
}

func queryOrders(ctx context.Context, q querier, where string, args ...any) ([]domain.SoldOrder, error) {
	rows, err := q.Query(ctx, `
		SELECT o.id, o.sale_id, s.name, o.status, o.email, o.buyer, o.booking,
		       o.perk_ledger IS NOT NULL, o.paid_at, o.refunding_at, o.refunded_at, o.erased_at, o.metadata,
		       p.id, p.session, p.amount_minor, p.currency, p.captured_at,
		       quota.ledger, perk.name, perk.ledger, o.code,
		       CASE WHEN o.code IS NOT NULL THEN (SELECT c.ledger FROM sale_stocks c WHERE c.sale_id = o.sale_id AND c.kind = 'codes') END,
		       (SELECT json_agg(l ORDER BY l.class COLLATE "C") FROM order_lines l WHERE l.order_id = o.id),
		       (SELECT json_agg(t ORDER BY t.number) FROM tickets t WHERE t.order_id = o.id)
		FROM orders o
		JOIN payments p ON p.id = o.payment
		JOIN sales s ON s.id = o.sale_id
		JOIN sale_stocks quota ON quota.sale_id = o.sale_id AND quota.kind = 'quota'
		LEFT JOIN sale_stocks perk ON perk.sale_id = o.sale_id AND perk.kind = 'perk' `+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanOrder)
}

func scanOrder(row pgx.CollectableRow) (domain.SoldOrder, error) {
	var (
		o                                     domain.SoldOrder
		id, buyer, code                       pgtype.UUID
		refunding, refunded, erased, captured *time.Time
		perkName                              *string
		perkLedger, codeLedger                *uint32
	)
	err := row.Scan(&id, &o.SaleID, &o.SaleName, &o.Status, &o.Email, &buyer, &o.Booking,
		&o.PerkTaken, &o.PaidAt, &refunding, &refunded, &erased, &o.Metadata,
		&o.Capture.Payment, &o.Capture.Session, &o.Capture.AmountMinor, &o.Capture.Currency, &captured,
		&o.QuotaLedger, &perkName, &perkLedger, &code, &codeLedger, &o.Lines, &o.Tickets)
	if err == nil {
		err = errors.Join(o.Status.Check(), o.Booking.Check())
	}
	if err != nil {
		return domain.SoldOrder{}, err
	}
	o.ID, o.Buyer, o.Capture.Order = id.Bytes, buyer.Bytes, id.Bytes
	o.AmountMinor, o.Currency = o.Capture.AmountMinor, o.Capture.Currency
	o.PaidAt, o.RefundingAt, o.RefundedAt = o.PaidAt.UTC(), fromNull(refunding), fromNull(refunded)
	o.Capture.CapturedAt, o.ErasedAt = fromNull(captured), fromNull(erased)
	if code.Valid && codeLedger != nil {
		o.Code = &domain.ClassCodeRef{ID: code.Bytes, Ledger: *codeLedger}
	}
	if perkName != nil {
		o.Perk = &domain.PerkRef{Name: *perkName, Ledger: *perkLedger}
	}
	return o, nil
}
