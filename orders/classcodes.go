package orders

import (
	"context"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// NoteClassCodes keeps what codes of a sale are made with, before the ledger makes them: a ledger that was lost is given them again.
// One that was noted before stays as it is.
func (s *Store) NoteClassCodes(ctx context.Context, saleID string, codes []domain.ClassCodeID, only uint32, uses int64) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		INSERT INTO class_codes (sale_id, code, only_ledger, uses) SELECT $1, unnest($2::uuid[]), nullif($3::bigint, 0), $4 ON CONFLICT DO NOTHING`,
		saleID, uuidsOf(codes), int64(only), uses)
	return writeFailed("note codes of sale", saleID, err)
}

// NoteRevokedCodes keeps that codes of a sale are revoked, before the ledger revokes them. One that was never noted is left out.
func (s *Store) NoteRevokedCodes(ctx context.Context, saleID string, codes []domain.ClassCodeID) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx,
		`UPDATE class_codes SET revoked_at = now() WHERE sale_id = $1 AND code = ANY ($2::uuid[]) AND revoked_at IS NULL`, saleID, uuidsOf(codes))
	return writeFailed("note revoked codes of sale", saleID, err)
}

// ClassCodes returns the codes of a sale as they were made, without what was used of them.
func (s *Store) ClassCodes(ctx context.Context, saleID string) (codes []domain.ClassCode, err error) {
	err = s.erasing(ctx, func(ctx context.Context, tx pgx.Tx) error { // there may be many
		rows, err := tx.Query(ctx, `
			SELECT code, coalesce(only_ledger, 0), uses, revoked_at IS NOT NULL FROM class_codes
			WHERE sale_id = $1 ORDER BY class_codes.code`, saleID)
		if err != nil {
			return err
		}
		codes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c domain.ClassCode, err error) {
			var id pgtype.UUID
			err = row.Scan(&id, &c.Only, &c.Left, &c.Revoked)
			c.ID = id.Bytes
			return c, err
		})
		return err
	})
	return codes, readFailed("list the codes of sale", saleID, err)
}
