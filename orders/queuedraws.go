package orders

import (
	"context"
	"reflect"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// ChangeDraw lets change decide what happens to the draw of a queue (Queue.Draw), and
// writes it under the queue's lock. It fails with change's errors, otherwise like
// ExchangeQueue.
func (s *Store) ChangeDraw(ctx context.Context, saleID string, change func(q *domain.Queue) error) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q, err := lockQueue(ctx, tx, saleID)
		if err != nil {
			return err
		}
		before := *q
		if err := change(q); err != nil {
			return err
		}
		var batch pgx.Batch
		writeDraw(&batch, &before, q)
		return tx.SendBatch(ctx, &batch).Close()
	})
	return writeFailed("change the draw of", saleID, err)
}

// QueueJoins reads a queue's list from a join index on: at most this many rows; the first
// may begin before the index.
func (s *Store) QueueJoins(ctx context.Context, saleID string, from int64, rowsMax int) ([]domain.QueueJoins, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT first, joins, joined_at, epoch FROM queue_joins
		WHERE sale_id = $1 AND first >= coalesce((SELECT max(first) FROM queue_joins WHERE sale_id = $1 AND first <= $2), $2)
		ORDER BY first LIMIT $3`, saleID, from, rowsMax)
	if err != nil {
		return nil, readFailed("read the joins of queue", saleID, err)
	}
	joins, err := pgx.CollectRows(rows, pgx.RowToStructByPos[domain.QueueJoins])
	if err != nil {
		return nil, readFailed("read the joins of queue", saleID, err)
	}
	return joins, nil
}

// drawColumns are all null if the queue is of version 1.
const drawColumns = `d.source, d.closed, d.closed_at, d.root, d.root_at,
	d.beacon_chain, d.beacon_genesis, d.beacon_period, d.beacon_named, d.beacon_round, d.beacon_signature,
	d.witness_commitment, d.witness_secret, d.waived_at, d.waived_reason`

type drawRow struct {
	source, waivedReason                 *string
	closed, period, named, round         *int64
	closedAt, rootAt, genesis, waivedAt  *time.Time
	root, chain, signature, hash, secret []byte
}

func (r *drawRow) targets() []any {
	return []any{
		&r.source, &r.closed, &r.closedAt, &r.root, &r.rootAt,
		&r.chain, &r.genesis, &r.period, &r.named, &r.round, &r.signature,
		&r.hash, &r.secret, &r.waivedAt, &r.waivedReason,
	}
}

func (r *drawRow) into(d *domain.QueueDraw) {
	d.Closed = domain.QueueUndrawn
	if r.source == nil {
		return
	}
	d.Source, d.Closed, d.ClosedAt, d.Root, d.RootAt = domain.QueueDrawSource(*r.source), *r.closed, fromNull(r.closedAt), r.root, fromNull(r.rootAt)
	d.Beacon = domain.QueueBeacon{
		Chain: r.chain, Genesis: fromNull(r.genesis), Period: time.Duration(*r.period) * time.Second,
		Named: *r.named, Round: *r.round, Signature: r.signature,
	}
	d.WitnessCommitment, d.WitnessSecret = r.hash, r.secret
	d.WaivedAt, d.WaivedReason = fromNull(r.waivedAt), *r.waivedReason
}

// writeDraw runs before the rest of the queue is written: seed and secret are there when
// the queue says that it is drawn.
func writeDraw(batch *pgx.Batch, before, q *domain.Queue) {
	d := &q.Draw
	if before.Drawn != q.Drawn && d.Secret != nil {
		batch.Queue(`UPDATE queues SET seed = $2, secret = $3 WHERE sale_id = $1`, q.SaleID, q.Seed, d.Secret)
	}
	if !reflect.DeepEqual(&before.Draw, d) {
		batch.Queue(`
			UPDATE queue_draws SET source = $2, closed = $3, closed_at = $4, root = $5, root_at = $6,
				beacon_chain = $7, beacon_genesis = $8, beacon_period = $9, beacon_named = $10, beacon_round = $11, beacon_signature = $12,
				witness_commitment = $13, witness_secret = $14, waived_at = $15, waived_reason = $16
			WHERE sale_id = $1`, q.SaleID, d.Source, d.Closed, nullTime(d.ClosedAt), d.Root, nullTime(d.RootAt),
			d.Beacon.Chain, nullTime(d.Beacon.Genesis), int64(d.Beacon.Period/time.Second), d.Beacon.Named, d.Beacon.Round, d.Beacon.Signature,
			d.WitnessCommitment, d.WitnessSecret, nullTime(d.WaivedAt), d.WaivedReason)
	}
	if joins := q.Joined - before.Joined; joins > 0 && d.KeepsList() {
		batch.Queue(`INSERT INTO queue_joins (sale_id, first, joins, joined_at, epoch) VALUES ($1, $2, $3, $4, $5)`,
			q.SaleID, before.Joined, joins, q.Now.Truncate(time.Millisecond), q.EpochNumber())
	}
}
