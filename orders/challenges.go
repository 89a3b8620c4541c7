package orders

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// spentKept is how long a challenge is remembered after it has expired: clocks differ.
	spentKept = 5 * time.Minute
	// spentForgottenMax bounds what one call removes, more than it adds.
	spentForgottenMax = 5000
)

// SpendChallenges notes that challenges of the human check were used, and says of each
// whether it was the first time. They are kept until a while after until. Errors as of any
// write.
func (s *Store) SpendChallenges(ctx context.Context, nonces [][]byte, until time.Time) (fresh []bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	// In one order on all nodes, in which unnest keeps them: two that spend the same ones never wait for each other in a circle.
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
