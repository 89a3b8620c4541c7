package orders

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// spentKept is how long a challenge is remembered after it has expired, because
	// clocks differ.
	spentKept = 5 * time.Minute
	// spentForgottenMax limits what one call removes; it is more than a call adds.
	spentForgottenMax = 5000
)

// SpendChallenges records that challenges of the human check were used, and says for each
// whether it was the first time. They are kept for a while after until. Errors as for any
// write.
func (s *Store) SpendChallenges(ctx context.Context, nonces [][]byte, until time.Time) (fresh []bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	// In one order on all nodes, which unnest keeps, so that two calls that spend the
	// same ones never deadlock.
	sorted := slices.Clone(nonces)
	slices.SortFunc(sorted, bytes.Compare)
	first := make(map[string]bool, len(nonces))
	var batch pgx.Batch
	batch.Queue(`
		INSERT INTO spent_challenges (nonce, until) SELECT unnest($1::bytea[]), $2
		ON CONFLICT DO NOTHING RETURNING nonce`, sorted, until).Query(func(rows pgx.Rows) error {
		var nonce []byte
		_, err := pgx.ForEachRow(rows, []any{&nonce}, func() error {
			first[string(nonce)] = true
			return nil
		})
		return err
	})
	batch.Queue(`
		DELETE FROM spent_challenges WHERE nonce IN (
			SELECT nonce FROM spent_challenges WHERE until < clock_timestamp() - $1::interval
			ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)`, spentKept, spentForgottenMax)
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, writeFailed("spend", "challenges", err)
	}
	fresh = make([]bool, len(nonces))
	for i, nonce := range nonces {
		fresh[i] = first[string(nonce)]
		first[string(nonce)] = false // twice in one call
	}
	return fresh, nil
}
