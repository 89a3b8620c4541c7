package orders

import (
	"context"
	"errors"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

const (
	// arrivalsSalesMax is how many past sales are looked at, the latest first. With the steps of a
	// search, it bounds what the statement reads: 200 × 24 look-ups in an index.
	arrivalsSalesMax = 200
	// arrivalsAfter is how long after its opening a sale's arrivals count as complete: as long as a
	// place is valid at least.
	arrivalsAfter = 24 * time.Hour
)

// Arrivals reads how many have joined a sale's waiting room so far (once it is open: until its
// opening), and for the latest sales with waiting rooms how many had joined as long before their
// openings and have come in all. Sales that were canceled are left out, and queues whose joins
// are not listed (draws of version 1).
//
// A list has a row for each batch of joins, in the order of their times. So the number of joins
// before a moment is found by halving the list, and not by reading it.
//
// Errors: *domain.Error with CodeNotFound if the sale has no waiting room or no opening time.
func (s *Store) Arrivals(ctx context.Context, saleID string) (a domain.SaleArrivals, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var until time.Duration
	a.Sale = saleID
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			SELECT now(), s.opens_at, coalesce(CASE WHEN s.opens_at > now() THEN q.joined WHEN d.closed >= 0 THEN d.closed ELSE greatest(q.drawn, 0) END, 0),
			       coalesce(q.joined, 0)
			FROM sales s LEFT JOIN queues q ON q.sale_id = s.id LEFT JOIN queue_draws d ON d.sale_id = s.id
			WHERE s.id = $1 AND s.waiting_room AND s.opens_at IS NOT NULL`, saleID).Scan(&a.Now, &a.OpensAt, &a.Joined, &a.Came)
		if err != nil {
			return err
		}
		until = a.UntilOpening()
		a.Past, err = pastArrivals(ctx, tx, saleID, until)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return a, domain.NotFound("waiting room with an opening time")
	}
	return a, readFailed("read the arrivals of", saleID, err)
}

func pastArrivals(ctx context.Context, tx pgx.Tx, saleID string, before time.Duration) ([]domain.Arrivals, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE past AS (
			SELECT q.sale_id, s.opens_at, q.joined, d.closed
			FROM queues q JOIN sales s ON s.id = q.sale_id JOIN queue_draws d ON d.sale_id = q.sale_id
			WHERE q.sale_id <> $1 AND d.closed >= 0 AND s.opens_at < now() - $3::interval
			  AND NOT EXISTS (SELECT FROM sale_cancellations c WHERE c.sale_id = q.sale_id)
			ORDER BY s.opens_at DESC, q.sale_id COLLATE "C" LIMIT $4
		), search AS ( -- the number of joins before the moment is in [low, high]
			SELECT sale_id, opens_at - $2::interval AS moment, 0::bigint AS low, closed AS high FROM past
			UNION ALL
			SELECT s.sale_id, s.moment,
			       CASE WHEN b.was_before THEN least(greatest(b.middle + 1, b.past_batch), s.high) ELSE s.low END,
			       CASE WHEN b.was_before THEN s.high ELSE greatest(b.first, s.low) END
			FROM search s CROSS JOIN LATERAL (
				SELECT (s.low + s.high) / 2 AS middle, j.first, j.first + j.joins AS past_batch,
				       coalesce(j.joined_at::timestamptz <= s.moment, true) AS was_before -- a gap counts to what is before it
				FROM (SELECT) one LEFT JOIN LATERAL (
					SELECT first, joins, joined_at FROM queue_joins
					WHERE sale_id = s.sale_id AND first <= (s.low + s.high) / 2 ORDER BY first DESC LIMIT 1
				) j ON true
			) b
			WHERE s.low::bigint < s.high
		)
		SELECT p.sale_id, p.opens_at, s.low, p.joined FROM past p JOIN search s ON s.sale_id = p.sale_id AND s.low::bigint >= s.high
		ORDER BY p.sale_id COLLATE "C"`, saleID, before, arrivalsAfter, arrivalsSalesMax)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[domain.Arrivals])
}
