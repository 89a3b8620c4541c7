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

// BeginCancellation records that the organiser cancels a sale, adds its event, and
// returns what is stored. Repeated, the first time stays, and so does how far it has
// come. It fails with a *domain.Error with CodeNotFound for a sale that was never marked
// open.
func (s *Store) BeginCancellation(ctx context.Context, saleID string, at time.Time) (domain.SaleCancellation, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	begun := domain.SaleCancellation{SaleID: saleID, RequestedAt: stored(at), Stage: domain.CancelClosing}
	_, err := s.pool.Exec(ctx, `
		WITH locked AS ( -- a change of capacity has begun before, or finds the sale canceled
			SELECT ledger FROM sale_stocks WHERE sale_id = $1 FOR NO KEY UPDATE
		), begun AS (
			INSERT INTO sale_cancellations (sale_id, requested_at, progress)
			SELECT id, $2, $3 FROM sales WHERE id = $1 AND funded_at IS NOT NULL AND (SELECT count(*) FROM locked) > 0
			ON CONFLICT (sale_id) DO NOTHING
			RETURNING sale_id
		)
		INSERT INTO outbox (event, sale_id, payload) SELECT $4, sale_id, $5 FROM begun`,
		saleID, begun.RequestedAt, begun, string(domain.EventSaleCanceled), domain.SaleCanceledData{Sale: saleID, RequestedAt: begun.RequestedAt})
	if err != nil {
		return domain.SaleCancellation{}, writeFailed("cancel sale", saleID, err)
	}
	return s.Cancellation(ctx, saleID)
}

// EndSale ends a sale early, with its event: it takes no new orders, and what is under way goes
// on. Repeated, the first time stays. It fails with a *domain.Error with CodeNotFound for a
// sale that was never marked open, with CodeSaleCanceled for one that is canceled.
func (s *Store) EndSale(ctx context.Context, saleID string) error {
	return s.turn(ctx, saleID, `
		WITH ended AS (
			UPDATE sales SET ended_at = now(), version = version + 1 WHERE id = $1 AND ended_at IS NULL RETURNING id, ended_at
		)
		INSERT INTO outbox (event, sale_id, payload)
		SELECT $2, id, jsonb_build_object('sale', id, 'ended_at', ended_at) FROM ended`, domain.EventSaleEnded)
}

// ReopenSale takes the early end back, with its event. The sale's window counts again.
// Otherwise it is like EndSale.
func (s *Store) ReopenSale(ctx context.Context, saleID string) error {
	return s.turn(ctx, saleID, `
		WITH reopened AS (
			UPDATE sales SET ended_at = NULL, version = version + 1 WHERE id = $1 AND ended_at IS NOT NULL RETURNING id
		)
		INSERT INTO outbox (event, sale_id, payload)
		SELECT $2, id, jsonb_build_object('sale', id, 'reopened_at', now()) FROM reopened`, domain.EventSaleReopened)
}

// turn runs a statement on a sale that is on offer and not canceled.
func (s *Store) turn(ctx context.Context, saleID, sql string, event domain.EventType) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var canceled bool
		err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM sale_cancellations c WHERE c.sale_id = s.id)
			FROM sales s WHERE s.id = $1 AND s.funded_at IS NOT NULL FOR NO KEY UPDATE`, saleID).Scan(&canceled)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return domain.NotFound("sale")
		case err != nil:
			return err
		case canceled:
			return &domain.Error{Code: domain.CodeSaleCanceled, Detail: "The sale is canceled: that cannot be undone."}
		}
		_, err = tx.Exec(ctx, sql, saleID, string(event))
		return err
	})
	return writeFailed("end or reopen sale", saleID, err)
}

// SaveCancellation stores how far a cancellation has come, and nothing else. Once stored
// as finished it stays so. It fails with a *domain.Error with CodeNotFound if no
// cancellation was begun.
func (s *Store) SaveCancellation(ctx context.Context, c domain.SaleCancellation) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var begun bool
	err := s.pool.QueryRow(ctx, `
		WITH saved AS (
			UPDATE sale_cancellations SET progress = $2, finished_at = $3
			WHERE sale_id = $1 AND finished_at IS NULL
		)
		SELECT EXISTS (SELECT FROM sale_cancellations WHERE sale_id = $1)`,
		c.SaleID, c, nullTime(c.FinishedAt)).Scan(&begun)
	if err == nil && !begun {
		err = noCancellation()
	}
	return writeFailed("save the cancellation of sale", c.SaleID, err)
}

// Cancellation returns how far a sale's cancellation has come, by the last look. It fails
// with a *domain.Error with CodeNotFound if the sale is not canceled.
func (s *Store) Cancellation(ctx context.Context, saleID string) (domain.SaleCancellation, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var c domain.SaleCancellation
	err := s.pool.QueryRow(ctx, `SELECT progress FROM sale_cancellations WHERE sale_id = $1`, saleID).Scan(&c)
	if errors.Is(err, pgx.ErrNoRows) {
		err = noCancellation()
	}
	return c, readFailed("read the cancellation of sale", saleID, err)
}

func noCancellation() error {
	return &domain.Error{Code: domain.CodeNotFound, Detail: "The sale is not canceled."}
}

// DueRefunds fills in how many orders of a canceled sale must be refunded, are being
// refunded and were refunded, and how many payments without tickets are owed, in one
// snapshot. A late payment is open as a workflow, owed here, or both: the larger count
// wins.
func (s *Store) DueRefunds(ctx context.Context, c *domain.SaleCancellation) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var owed int64
	err := s.pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE status = 'paid'), count(*) FILTER (WHERE status = 'refunding'),
		       count(*) FILTER (WHERE status = 'refunded'),
		       (SELECT count(*) FROM refunds WHERE sale_id = $1 AND bought = 'nothing' AND refunded_at IS NULL)
		FROM orders WHERE sale_id = $1`, c.SaleID).
		Scan(&c.OrdersToRefund, &c.OrdersRefunding, &c.OrdersRefunded, &owed)
	c.LatePayments = max(c.LatePayments, owed)
	return readFailed("count refunds of", c.SaleID, err)
}

// PaidOrders returns the ids of a sale's orders with valid tickets that follow after,
// sorted, at most limit (1…domain.OrdersPageMax). A page shorter than limit is the last.
func (s *Store) PaidOrders(ctx context.Context, saleID string, after domain.OrderID, limit int) ([]domain.OrderID, error) {
	if limit < 1 || limit > domain.OrdersPageMax {
		return nil, domain.Invalid("limit", fmt.Sprintf("must be 1–%d", domain.OrdersPageMax))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT o.id FROM orders o WHERE o.sale_id = $1 AND o.status = 'paid' AND o.id > $2 ORDER BY o.id LIMIT $3`,
		saleID, uuidOf(after), limit)
	if err != nil {
		return nil, readFailed("list paid orders of", saleID, err)
	}
	ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.OrderID, error) {
		var id pgtype.UUID
		err := row.Scan(&id)
		return id.Bytes, err
	})
	return ids, readFailed("list paid orders of", saleID, err)
}

// OwedRefunds returns the refunds of a sale that are not done, the longest-waiting first,
// at most limit.
func (s *Store) OwedRefunds(ctx context.Context, saleID string, limit int) ([]domain.Refund, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	refunds, err := s.queryRefunds(ctx, `
		WHERE r.sale_id = $1 AND r.refunded_at IS NULL ORDER BY r.requested_at, p.id COLLATE "C" LIMIT $2`, saleID, limit)
	return refunds, readFailed("list owed refunds of", saleID, err)
}
