package orders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

const (
	// queueNodesMax bounds what an exchange reads.
	queueNodesMax = 256
	// queueNodeLife is when the row of a silent node is removed. It is longer than rows count
	// (waitingroom.PresenceTimeout).
	queueNodeLife = 5 * time.Minute
)

// ExchangeQueue adds joins to a sale's queue, lets turn decide what happens next, and
// writes the result. One transaction does all that and locks the queue's row, so turns
// happen one after another. It returns the joins' first index and the new state. If the
// queue does not exist yet, it is created with a seed.
//
// Errors: *domain.Error with CodeNotFound if the sale has no waiting room, with
// CodeOverloaded if nothing was written; otherwise a *domain.UnknownError.
func (s *Store) ExchangeQueue(ctx context.Context, saleID string, joins int64, turn domain.QueueTurn) (first int64, q *domain.Queue, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if q, err = lockQueue(ctx, tx, saleID); err != nil {
			return err
		}
		first = q.Joined
		before := *q
		q.BeginEpoch()
		q.Joined += joins
		node := turn(q, first)
		return writeQueue(ctx, tx, &before, q, &node)
	})
	if err != nil {
		return 0, nil, writeFailed("exchange queue", saleID, err)
	}
	return first, q, nil
}

// ConfigureQueue replaces the organiser's settings of a queue. The door follows them from
// its next turn. Errors: *domain.Error with CodeInvalid, CodeNotFound.
func (s *Store) ConfigureQueue(ctx context.Context, saleID string, set domain.QueueSettings) error {
	if err := set.Validate(); err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := lockQueue(ctx, tx, saleID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE queues SET rate_floor = $2, rate_ceiling = $3, paused = $4 WHERE sale_id = $1`,
			saleID, set.RateFloor, set.RateCeiling, set.Paused)
		return err
	})
	return writeFailed("configure queue", saleID, err)
}

// lockQueue locks and reads a queue, and creates it if it is missing.
func lockQueue(ctx context.Context, tx pgx.Tx, saleID string) (*domain.Queue, error) {
	q, err := readQueue(ctx, tx, saleID)
	if !errors.Is(err, pgx.ErrNoRows) {
		return q, err
	}
	settings := domain.QueueSettings{}.WithDefaults()
	_, err = tx.Exec(ctx, `
		WITH made AS (
			INSERT INTO queues (sale_id, rate_floor, rate_ceiling, draw_version) SELECT id, $2, $3, $4 FROM sales WHERE id = $1 AND waiting_room
			ON CONFLICT DO NOTHING RETURNING sale_id)
		INSERT INTO queue_draws (sale_id) SELECT sale_id FROM made`, saleID, settings.RateFloor, settings.RateCeiling, domain.QueueDrawOfList)
	if err != nil {
		return nil, err
	}
	q, err = readQueue(ctx, tx, saleID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, domain.NotFound("waiting room")
	}
	return q, err
}

// readQueue locks the row first, and reads the time and the nodes after that. So it sees
// what the last exchange left, and time does not run backwards from one exchange to the
// next.
func readQueue(ctx context.Context, tx pgx.Tx, saleID string) (*domain.Queue, error) {
	q := &domain.Queue{SaleID: saleID}
	var opensAt, closesAt, canceledAt, cutAt, drawnAt *time.Time
	var draw drawRow
	var epochs []int
	var epochsFrom []int64
	var batch pgx.Batch
	batch.Queue(`
		SELECT rate_floor, rate_ceiling, paused, seed, joined, drawn, admitted, rate, credit, moved_at, cut_at,
			epochs, epochs_from, entered, drawn_at, goal, coming, entered_before, entries_to, draw_version, secret
		FROM queues WHERE sale_id = $1 FOR UPDATE`, saleID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&q.Settings.RateFloor, &q.Settings.RateCeiling, &q.Settings.Paused, &q.Seed, &q.Joined, &q.Drawn,
			&q.Door.Admitted, &q.Door.Rate, &q.Door.Credit, &q.Door.MovedAt, &cutAt,
			&epochs, &epochsFrom, &q.Door.Entered, &drawnAt, &q.Door.Goal, &q.Door.Coming, &q.EnteredBefore, &q.EntriesTo, &q.Draw.Version, &q.Draw.Secret)
	})
	batch.Queue(`
		SELECT clock_timestamp(), coalesce(s.opens_at, s.created_at), least(s.closes_at, s.ended_at), c.requested_at, queue_epoch(), `+drawColumns+`
		FROM sales s LEFT JOIN sale_cancellations c ON c.sale_id = s.id LEFT JOIN queue_draws d ON d.sale_id = s.id
		WHERE s.id = $1`, saleID).QueryRow(func(row pgx.Row) error {
		return row.Scan(append([]any{&q.Now, &opensAt, &closesAt, &canceledAt, &q.Epoch}, draw.targets()...)...)
	})
	batch.Queue(`
		SELECT node, seen_at, base, present, congested, load FROM queue_nodes
		WHERE sale_id = $1 ORDER BY seen_at DESC LIMIT $2`, saleID, queueNodesMax).Query(func(rows pgx.Rows) error {
		var err error
		q.Nodes, err = pgx.CollectRows(rows, pgx.RowToStructByPos[domain.QueueNode])
		return err
	})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	for i, e := range epochs {
		q.Epochs = append(q.Epochs, domain.QueueEpoch{Epoch: e, From: epochsFrom[i]})
	}
	draw.into(&q.Draw)
	q.OpensAt, q.ClosesAt, q.CanceledAt, q.Door.CutAt, q.DrawnAt = fromNull(opensAt), fromNull(closesAt), fromNull(canceledAt), fromNull(cutAt), fromNull(drawnAt)
	return q, nil
}

// writeQueue writes the node's row, and the queue's row if it changed.
func writeQueue(ctx context.Context, tx pgx.Tx, before, q *domain.Queue, node *domain.QueueNode) error {
	var batch pgx.Batch
	writeDraw(&batch, before, q)
	if before.Joined != q.Joined || before.Drawn != q.Drawn || before.Door != q.Door || before.EntriesTo != q.EntriesTo {
		batch.Queue(`
			UPDATE queues SET joined = $2, drawn = $3, admitted = $4, rate = $5, credit = $6, moved_at = $7, cut_at = $8,
				entered = $9, drawn_at = $10, goal = $11, coming = $12, entered_before = $13, entries_to = $14
			WHERE sale_id = $1`, q.SaleID, q.Joined, q.Drawn, q.Door.Admitted, q.Door.Rate, q.Door.Credit,
			q.Door.MovedAt, nullTime(q.Door.CutAt), q.Door.Entered, nullTime(q.DrawnAt),
			q.Door.Goal, q.Door.Coming, q.EnteredBefore, q.EntriesTo)
	}
	enterQueue(&batch, q)
	if !slices.Equal(before.Epochs, q.Epochs) {
		var epochs []int
		var from []int64
		for _, e := range q.Epochs {
			epochs, from = append(epochs, e.Epoch), append(from, e.From)
		}
		batch.Queue(`UPDATE queues SET epochs = $2, epochs_from = $3 WHERE sale_id = $1`, q.SaleID, epochs, from)
	}
	present, load := node.Present, node.Load
	if present == nil {
		present = []byte{}
	}
	if load == nil {
		load = []byte{}
	}
	batch.Queue(`
		INSERT INTO queue_nodes (sale_id, node, seen_at, base, present, congested, load) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (sale_id, node) DO UPDATE SET seen_at = excluded.seen_at, base = excluded.base,
			present = excluded.present, congested = excluded.congested, load = excluded.load`,
		q.SaleID, node.Node, q.Now, node.Base, present, node.Congested, load)
	for _, other := range q.Nodes {
		// A row from the future means that the clock was set back.
		if q.Now.Sub(other.SeenAt).Abs() > queueNodeLife && other.Node != node.Node {
			batch.Queue(`DELETE FROM queue_nodes WHERE sale_id = $1 AND node = $2 AND seen_at = $3`, q.SaleID, other.Node, other.SeenAt)
		}
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("write queue: %w", err)
	}
	return nil
}

// enterQueue stores the places that a turn let in.
func enterQueue(batch *pgx.Batch, q *domain.Queue) {
	byChunk := make(map[int64][]int64)
	for _, place := range q.Entered {
		chunk := place / domain.QueueChunkPlaces
		byChunk[chunk] = append(byChunk[chunk], place%domain.QueueChunkPlaces)
	}
	for chunk, nths := range byChunk {
		batch.Queue(`SELECT queue_enter($1, $2, $3::integer[], $4)`, q.SaleID, chunk, nths, domain.QueueStamp(q.Now))
	}
}

// QueueEntries reads the entries into a sale: for each chunk that has any, the stamps of
// its places, two bytes each, big-endian.
func (s *Store) QueueEntries(ctx context.Context, saleID string, chunks []int64) (map[int64][]byte, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT chunk, stamps FROM queue_entries WHERE sale_id = $1 AND chunk = ANY($2)`, saleID, chunks)
	if err != nil {
		return nil, readFailed("read who was let in", saleID, err)
	}
	found := make(map[int64][]byte)
	var chunk int64
	var stamps []byte
	_, err = pgx.ForEachRow(rows, []any{&chunk, &stamps}, func() error {
		found[chunk] = slices.Clone(stamps)
		return nil
	})
	if err != nil {
		return nil, readFailed("read who was let in", saleID, err)
	}
	return found, nil
}
