package orders

import (
	"context"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// OpenedSales writes the events of sales that have opened by the database's clock. Each sale gets its event once, however many nodes ask.
// It writes at most limit events and returns the sales' ids.
func (s *Store) OpenedSales(ctx context.Context, limit int) ([]string, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		WITH due AS (
			SELECT s.id, coalesce(s.opens_at, s.funded_at) AS opens_at FROM sales s
			WHERE s.funded_at IS NOT NULL AND coalesce(s.opens_at, s.funded_at) <= now()
			  AND NOT EXISTS (SELECT FROM sale_states t WHERE t.sale_id = s.id)
			  AND s.ended_at IS NULL AND NOT EXISTS (SELECT FROM sale_cancellations c WHERE c.sale_id = s.id)
			LIMIT $1
		), opened AS (
			INSERT INTO sale_states (sale_id, sold_out) SELECT id, false FROM due ON CONFLICT DO NOTHING RETURNING sale_id
		)
		INSERT INTO outbox (event, sale_id, payload)
		SELECT $2, id, jsonb_build_object('sale', id, 'opens_at', opens_at) FROM opened JOIN due ON due.id = opened.sale_id
		RETURNING sale_id`,
		limit, string(domain.EventSaleOpened))
	if err != nil {
		return nil, writeFailed("tell that", "sales opened", err)
	}
	opened, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return opened, writeFailed("tell that", "sales opened", err)
}

// TellStock writes the event that a sale is sold out or back on sale, if that is a change. While some tickets are held and none is free, it
// writes neither. A sale that has closed can sell out, by payments under way, but is not back on sale. The first call for a sale that opened
// before there were events writes nothing. The caller must hold the task under that lease, or nothing is written.
func (s *Store) TellStock(ctx context.Context, task Task, saleID string, classes []domain.EventStock) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	soldOut := true
	var held int64
	for _, c := range classes {
		soldOut = soldOut && c.Available <= 0
		held += c.Held
	}
	if soldOut && held > 0 { // in a rush that would change every few seconds
		return nil
	}
	event, payload := domain.EventSaleBackOnSale, any(domain.SaleBackOnSaleData{Sale: saleID, Classes: classes})
	if soldOut {
		event, payload = domain.EventSaleSoldOut, domain.SaleSoldOutData{Sale: saleID, Classes: classes}
	}
	_, err := s.pool.Exec(ctx, `
		WITH before AS (
			SELECT sold_out FROM sale_states WHERE sale_id = $1 AND sold_out IS DISTINCT FROM $2
			   AND EXISTS (SELECT FROM event_tasks WHERE task = $3 AND holder = $4 AND lease = $5)
			   AND ($2 OR NOT EXISTS (SELECT FROM sales WHERE id = $1 AND least(closes_at, ended_at) <= now()))
			FOR UPDATE
		), changed AS (
			UPDATE sale_states SET sold_out = $2 FROM before WHERE sale_id = $1 RETURNING before.sold_out
		)
		INSERT INTO outbox (event, sale_id, payload) SELECT $6, $1, $7 FROM changed WHERE sold_out IS NOT NULL`,
		saleID, soldOut, task.Name, task.Node, task.Lease, string(event), payload)
	return writeFailed("write the stock of sale", saleID, err)
}

// SellingSales returns sales that have opened and are not canceled, sorted by id: those of the ids, and at most limit after an id.
func (s *Store) SellingSales(ctx context.Context, ids []string, after string, limit int) ([]*domain.Sale, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	sales, err := querySales(ctx, s.pool, `
		WHERE s.id = ANY ($3) AND EXISTS (SELECT FROM sale_states t WHERE t.sale_id = s.id)
		                      AND NOT EXISTS (SELECT FROM sale_cancellations c WHERE c.sale_id = s.id)
		   OR s.id IN (
			SELECT t.sale_id FROM sale_states t
			WHERE t.sale_id COLLATE "C" > $1 AND NOT EXISTS (SELECT FROM sale_cancellations c WHERE c.sale_id = t.sale_id)
			ORDER BY t.sale_id COLLATE "C" LIMIT $2)
		ORDER BY s.id COLLATE "C"`, after, limit, ids)
	return sales, readFailed("list", "sales that sell", err)
}

// A Task is something that one node does at a time.
type Task struct {
	Name, Node string
	Lease      int64
}

// HoldTask takes a task for a while, or keeps it, by the database's clock; false:
// another node has it.
func (s *Store) HoldTask(ctx context.Context, name, node string, hold time.Duration) (Task, bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		INSERT INTO event_tasks AS t (task, holder, lease, leased_until) VALUES ($1, $2, 1, clock_timestamp() + $3::interval)
		ON CONFLICT (task) DO UPDATE SET holder = excluded.holder, leased_until = excluded.leased_until,
			lease = t.lease + CASE WHEN t.holder = excluded.holder THEN 0 ELSE 1 END
		WHERE t.holder = excluded.holder OR t.leased_until < clock_timestamp()
		RETURNING lease`, name, node, hold)
	if err != nil {
		return Task{}, false, writeFailed("hold task", name, err)
	}
	leases, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(leases) == 0 {
		return Task{}, false, writeFailed("hold task", name, err)
	}
	return Task{Name: name, Node: node, Lease: leases[0]}, true, nil
}
