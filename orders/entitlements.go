package orders

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// entitlementBatchesMax limits what EntitlementBatches lists.
const entitlementBatchesMax = 1000

// LookAtEntitlements says what would happen to claims, and changes nothing. Its answers
// are in the order of the claims. Errors as for any read.
func (s *Store) LookAtEntitlements(ctx context.Context, claims []domain.EntitlementClaim) ([]domain.EntitlementAnswer, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	c := columnsOf(claims)
	rows, err := s.pool.Query(ctx, `
		SELECT asked.n, CASE
				WHEN p.holder IS NOT NULL THEN 'held'
				WHEN e.id IS NULL THEN CASE WHEN asked.places <> 0 THEN 'free' ELSE 'unknown' END
				WHEN e.revoked_at IS NOT NULL THEN 'revoked'
				WHEN e.taken >= e.places THEN 'spent'
				ELSE 'free' END,
			p.join_index, p.epoch, p.joined_at
		FROM unnest($1::text[], $2::text[], $3::bytea[], $4::integer[], $5::bytea[]) WITH ORDINALITY asked (sale_id, kind, id, places, holder, n)
		LEFT JOIN entitlements e USING (sale_id, kind, id)
		LEFT JOIN entitled_places p ON p.sale_id = asked.sale_id AND p.kind = asked.kind AND p.id = asked.id AND p.holder = asked.holder`,
		c.sales, c.kinds, c.ids, c.places, c.holders)
	if err == nil {
		var answers []domain.EntitlementAnswer
		if answers, err = answersOf(rows, len(claims)); err == nil {
			return answers, nil
		}
	}
	return nil, readFailed("look at", "entitlements", err)
}

// TakeEntitledPlaces takes the claims' places in one transaction: each holder gets one,
// and each entitlement gives as many as it is good for. Its answers are in the order of
// the claims. It may be repeated: a holder keeps their place. Errors as for any write.
func (s *Store) TakeEntitledPlaces(ctx context.Context, claims []domain.EntitlementClaim) ([]domain.EntitlementAnswer, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	// In one order on all nodes, so that two calls that take the same ones never
	// deadlock.
	order := make([]int, len(claims))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &claims[i], &claims[j]
		return cmp.Or(cmp.Compare(a.SaleID, b.SaleID), cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.ID[:], b.ID[:]))
	})
	sorted := make([]domain.EntitlementClaim, len(claims))
	for to, from := range order {
		sorted[to] = claims[from]
	}
	c := columnsOf(sorted)
	var taken []domain.EntitlementAnswer
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// One row after the other, as they are sorted.
		rows, err := tx.Query(ctx, `
			SELECT asked.n, took.verdict, took.join_index, took.epoch, took.joined_at
			FROM unnest($1::text[], $2::text[], $3::bytea[], $4::integer[], $5::bytea[], $6::bigint[], $7::integer[], $8::timestamptz[])
				WITH ORDINALITY asked (sale_id, kind, id, places, holder, join_index, epoch, joined_at, n),
			LATERAL take_entitled_place(asked.sale_id, asked.kind, asked.id, asked.places, asked.holder, asked.join_index, asked.epoch, asked.joined_at) took`,
			c.sales, c.kinds, c.ids, c.places, c.holders, c.indexes, c.epochs, c.joinedAt)
		if err != nil {
			return err
		}
		taken, err = answersOf(rows, len(claims))
		return err
	})
	if err != nil {
		return nil, writeFailed("take places with", "entitlements", err)
	}
	answers := make([]domain.EntitlementAnswer, len(claims))
	for to, from := range order {
		answers[from] = taken[to]
	}
	return answers, nil
}

type claimColumns struct {
	sales, kinds   []string
	ids, holders   [][]byte
	places, epochs []int32
	indexes        []int64
	joinedAt       []time.Time
}

func columnsOf(claims []domain.EntitlementClaim) (c claimColumns) {
	for i := range claims {
		claim := &claims[i]
		c.sales, c.kinds = append(c.sales, claim.SaleID), append(c.kinds, string(claim.Kind))
		c.ids, c.holders = append(c.ids, claim.ID[:]), append(c.holders, claim.Holder[:])
		c.places, c.epochs = append(c.places, int32(claim.Places)), append(c.epochs, int32(claim.Place.Epoch))
		c.indexes, c.joinedAt = append(c.indexes, claim.Place.Index), append(c.joinedAt, claim.Place.JoinedAt)
	}
	return c
}

// answersOf reads numbered verdicts, one for each claim.
func answersOf(rows pgx.Rows, claims int) ([]domain.EntitlementAnswer, error) {
	answers := make([]domain.EntitlementAnswer, claims)
	var n, found int
	var verdict string
	var index *int64
	var epoch *int
	var joinedAt *time.Time
	_, err := pgx.ForEachRow(rows, []any{&n, &verdict, &index, &epoch, &joinedAt}, func() error {
		found++
		answer := &answers[n-1]
		answer.Verdict = domain.EntitlementVerdict(verdict)
		if index != nil {
			answer.Place = domain.QueuePlace{Index: *index, Epoch: *epoch, JoinedAt: joinedAt.UTC()}
		}
		return nil
	})
	if err == nil && found != claims {
		err = fmt.Errorf("%d answers to %d claims", found, claims)
	}
	return answers, err
}

// MakeEntitlements stores entitlements that the organiser creates, and says for each
// whether it is new. An existing one stays as it is. Errors: *domain.Error with
// CodeInvalid if the sale would have more than domain.EntitlementsMax; those of any
// write.
func (s *Store) MakeEntitlements(
	ctx context.Context,
	saleID string,
	kind domain.EntitlementKind,
	ids []domain.EntitlementID,
	places int,
	batch string,
) (made []bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows := make([][]byte, len(ids))
	for i := range ids {
		rows[i] = ids[i][:]
	}
	isNew := make(map[domain.EntitlementID]bool, len(ids))
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// One call per sale at a time, so that the limit holds.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('boxoffice entitlements ' || $1, 0))`, saleID); err != nil {
			return err
		}
		var stored int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM entitlements WHERE sale_id = $1 AND kind = $2`, saleID, string(kind)).Scan(&stored); err != nil {
			return err
		}
		if stored+len(ids) > domain.EntitlementsMax {
			return domain.Invalid("count", fmt.Sprintf("a sale has at most %d", domain.EntitlementsMax))
		}
		found, err := tx.Query(ctx, `
			INSERT INTO entitlements (sale_id, kind, id, places, batch) SELECT $1, $2, unnest($3::bytea[]), $4, $5
			ON CONFLICT DO NOTHING RETURNING id`, saleID, string(kind), rows, places, batch)
		if err != nil {
			return err
		}
		var id []byte
		_, err = pgx.ForEachRow(found, []any{&id}, func() error {
			isNew[domain.EntitlementID(id)] = true
			return nil
		})
		return err
	})
	if err != nil {
		return nil, writeFailed("make entitlements of", saleID, err)
	}
	made = make([]bool, len(ids))
	for i, id := range ids {
		made[i] = isNew[id]
		isNew[id] = false // twice in one call
	}
	return made, nil
}

// RevokeEntitlements makes entitlements worthless, and returns how many were not before.
// Places taken with them stay. With places 0 it revokes only existing ones; otherwise it
// creates missing ones as revoked, so that nobody uses them later. Errors as for any
// write.
func (s *Store) RevokeEntitlements(
	ctx context.Context,
	saleID string,
	kind domain.EntitlementKind,
	ids []domain.EntitlementID,
	places int,
) (revoked int64, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows := make([][]byte, len(ids))
	for i := range ids {
		rows[i] = ids[i][:]
	}
	slices.SortFunc(rows, bytes.Compare)
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if places > 0 {
			if _, err := tx.Exec(ctx, `INSERT INTO entitlements (sale_id, kind, id, places) SELECT $1, $2, unnest($3::bytea[]), $4 ON CONFLICT DO NOTHING`,
				saleID, string(kind), rows, places); err != nil {
				return err
			}
		}
		return lockAndRevoke(ctx, tx, &revoked, `sale_id = $1 AND kind = $2 AND id = ANY($3)`, saleID, string(kind), rows)
	})
	return revoked, writeFailed("revoke entitlements of", saleID, err)
}

// RevokeBatch is RevokeEntitlements for all that were created together.
func (s *Store) RevokeBatch(ctx context.Context, saleID, batch string) (revoked int64, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return lockAndRevoke(ctx, tx, &revoked, `sale_id = $1 AND batch = $2 AND batch <> ''`, saleID, batch)
	})
	return revoked, writeFailed("revoke entitlements of", saleID, err)
}

// lockAndRevoke takes the rows' locks in the same order as TakeEntitledPlaces.
func lockAndRevoke(ctx context.Context, tx pgx.Tx, revoked *int64, where string, args ...any) error {
	tag, err := tx.Exec(ctx, `
		WITH locked AS (SELECT sale_id, kind, id FROM entitlements WHERE revoked_at IS NULL AND `+where+` ORDER BY kind COLLATE "C", entitlements.id FOR UPDATE)
		UPDATE entitlements e SET revoked_at = clock_timestamp() FROM locked
		WHERE e.sale_id = locked.sale_id AND e.kind = locked.kind AND e.id = locked.id`, args...)
	*revoked = tag.RowsAffected()
	return err
}

// EntitlementBatches counts a sale's entitlements by batch. Errors as for any read.
func (s *Store) EntitlementBatches(ctx context.Context, saleID string) ([]domain.EntitlementBatch, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT kind, batch, count(*), count(revoked_at), sum(places)::bigint, sum(taken)::bigint FROM entitlements WHERE sale_id = $1
		GROUP BY kind, batch ORDER BY kind COLLATE "C", batch COLLATE "C" LIMIT $2`, saleID, entitlementBatchesMax)
	if err != nil {
		return nil, readFailed("count entitlements of", saleID, err)
	}
	batches, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b domain.EntitlementBatch, err error) {
		err = row.Scan((*string)(&b.Kind), &b.Batch, &b.Made, &b.Revoked, &b.Places, &b.Taken)
		return b, err
	})
	return batches, readFailed("count entitlements of", saleID, err)
}
