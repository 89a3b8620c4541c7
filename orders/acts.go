package orders

import (
	"context"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// BeginAct stores an act that is about to be done, with the database's time, and returns its id.
// Errors as for any write.
func (s *Store) BeginAct(ctx context.Context, a domain.Act) (id int64, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, `INSERT INTO acts (who, act, path, source, request_id) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		a.Who, a.Act, a.Path, a.From, a.Request).Scan(&id)
	return id, writeFailed("record act", a.Act, err)
}

// EndAct stores how an act was answered, and what it was done to. It may be repeated. Errors as for any write.
func (s *Store) EndAct(ctx context.Context, a domain.Act) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, `UPDATE acts SET status = $2, path = $3 WHERE id = $1`, a.ID, a.Status, a.Path)
	return writeFailed("record the outcome of act", a.Act, err)
}

// Acts lists acts, newest first. Errors as for any read.
func (s *Store) Acts(ctx context.Context, f domain.ActFilter) ([]domain.Act, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	// The id of a sale has no sign that means something to LIKE.
	path := "/v1/sales/" + f.SaleID
	rows, err := s.pool.Query(ctx, `
		SELECT id, at, who, act, path, source, request_id, coalesce(status, 0) FROM acts
		WHERE ($1 = '' OR path = $2 OR path LIKE $2 || '/%' OR $1 = (
				SELECT o.sale_id FROM orders o WHERE o.id = CASE WHEN path ~ '^/v1/orders/[0-9a-f]{32}/' THEN substr(path, 12, 32)::uuid END))
		  AND ($3 = 0 OR acts.id < $3)
		ORDER BY acts.id DESC LIMIT $4`, f.SaleID, path, f.Before, f.Limit)
	if err != nil {
		return nil, readFailed("list", "acts", err)
	}
	acts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a domain.Act, err error) {
		err = row.Scan(&a.ID, &a.At, &a.Who, &a.Act, &a.Path, &a.From, &a.Request, &a.Status)
		a.At = a.At.UTC()
		return a, err
	})
	return acts, readFailed("list", "acts", err)
}

// actsDropMax is the most acts that are dropped at once.
const actsDropMax = 1000

// DropActs deletes some of the acts that are older than kept, and says whether there may be more.
func (s *Store) DropActs(ctx context.Context, kept time.Duration) (more bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.pool.Exec(ctx, `
		DELETE FROM acts WHERE id IN (SELECT id FROM acts WHERE at < now() - $1::interval ORDER BY at LIMIT $2)`, kept, actsDropMax)
	return tag.RowsAffected() == actsDropMax, writeFailed("drop", "old acts", err)
}
