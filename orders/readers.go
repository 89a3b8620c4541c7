package orders

import (
	"context"
	"strconv"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// A ReaderShard is a shard of a reader's work that a node holds.
type ReaderShard struct {
	Reader string
	Shard  int
	Cursor domain.EventCursor // everything up to here is done or set aside
	Tries  int                // how often the event after the cursor was refused
	Lease  int64              // the holder's: a cursor moves only under it
}

// AddReader creates a new reader's cursors: before the first event in the log or, with
// fromNow, after the last. It may be repeated.
func (s *Store) AddReader(ctx context.Context, reader string, fromNow bool) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		INSERT INTO event_cursors (reader, shard, transaction_id, id, from_transaction_id, from_id)
		SELECT $1, shard, start.transaction_id, start.id, start.transaction_id, start.id
		FROM generate_series(0, $3 - 1) shard, (
			SELECT CASE WHEN $2::boolean THEN (pg_snapshot_xmin(pg_current_snapshot())::text::numeric - 1)::text::xid8 ELSE '0'::xid8 END AS transaction_id,
			       CASE WHEN $2 THEN $4::bigint ELSE 0 END AS id
		) start
		WHERE NOT EXISTS (SELECT FROM event_cursors c WHERE c.reader = $1)
		ON CONFLICT DO NOTHING`, reader, fromNow, domain.EventShards, int64(behindAll))
	return writeFailed("add reader", reader, err)
}

// RemoveReader deletes a reader and what it set aside. Events are no longer kept for it,
// and if it comes back, it is new. It fails with a *domain.Error with CodeNotFound if there
// is no such reader, and with CodeExists while a node runs it.
func (s *Store) RemoveReader(ctx context.Context, reader string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var found, running bool
		err := tx.QueryRow(ctx, `
			SELECT count(*) > 0, coalesce(bool_or(leased_until > clock_timestamp()), false) FROM (
				SELECT leased_until FROM event_cursors WHERE reader = $1 FOR UPDATE) c`, reader).Scan(&found, &running)
		switch {
		case err != nil:
			return err
		case !found:
			return domain.NotFound("reader")
		case running:
			return &domain.Error{Code: domain.CodeExists, Detail: "A node runs this reader: take it out of the configuration first."}
		}
		_, err = tx.Exec(ctx, `DELETE FROM event_cursors WHERE reader = $1`, reader)
		return err
	})
	return writeFailed("remove reader", reader, err)
}

// A Leasing is a node that runs readers.
type Leasing struct {
	Node    string // unique to this process
	Readers []string
	For     time.Duration
}

// LeaseShards renews the node's leases, registers the node, and takes shards that nobody
// holds, up to its share. Shards are split evenly among the nodes that run a reader. All
// times are the database's. It returns what the node holds and its share of each reader. A
// node that holds more should release some.
func (s *Store) LeaseShards(ctx context.Context, l Leasing) (held []ReaderShard, share map[string]int, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if share, err = countNodes(ctx, tx, &l); err != nil {
			return err
		}
		held, err = leased(ctx, tx, `
			WITH mine AS (
				SELECT reader, shard FROM event_cursors WHERE holder = $1 AND reader = ANY ($3)
				ORDER BY reader COLLATE "C", shard FOR NO KEY UPDATE -- in the order of MoveShards, or the two lock each other out
			)
			UPDATE event_cursors c SET leased_until = clock_timestamp() + $2::interval
			FROM mine WHERE (c.reader, c.shard) = (mine.reader, mine.shard) AND c.holder = $1`,
			l.Node, l.For, l.Readers)
		if err != nil {
			return err
		}
		free := make(map[string]int)
		for reader, n := range share {
			free[reader] = n
		}
		for _, h := range held {
			free[h.Reader]--
		}
		for _, reader := range l.Readers {
			if free[reader] <= 0 {
				continue
			}
			taken, err := leased(ctx, tx, `
				UPDATE event_cursors c SET holder = $1, lease = c.lease + 1, leased_until = clock_timestamp() + $2::interval
				FROM (
					SELECT reader, shard FROM event_cursors
					WHERE reader = $3 AND leased_until < clock_timestamp() AND holder IS DISTINCT FROM $1
					ORDER BY shard LIMIT $4 FOR UPDATE SKIP LOCKED
				) unheld WHERE c.reader = unheld.reader AND c.shard = unheld.shard`,
				l.Node, l.For, reader, free[reader])
			if err != nil {
				return err
			}
			held = append(held, taken...)
		}
		return nil
	})
	return held, share, writeFailed("lease", "readers", err)
}

// nodeRowLife is how long the row of a node that is gone stays.
const nodeRowLife = time.Hour

func countNodes(ctx context.Context, tx pgx.Tx, l *Leasing) (share map[string]int, err error) {
	_, err = tx.Exec(ctx, `
		WITH gone AS (DELETE FROM event_nodes WHERE seen_until < clock_timestamp() - $4::interval)
		INSERT INTO event_nodes (node, readers, seen_until) VALUES ($1, $2, clock_timestamp() + $3::interval)
		ON CONFLICT (node) DO UPDATE SET readers = excluded.readers, seen_until = excluded.seen_until`,
		l.Node, l.Readers, l.For, nodeRowLife)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `
		SELECT reader, count(*)::int FROM event_nodes, unnest(readers) reader
		WHERE seen_until > clock_timestamp() AND reader = ANY ($1) GROUP BY reader`, l.Readers)
	if err != nil {
		return nil, err
	}
	share = make(map[string]int)
	var reader string
	var nodes int
	_, err = pgx.ForEachRow(rows, []any{&reader, &nodes}, func() error {
		share[reader] = (domain.EventShards + nodes - 1) / nodes
		return nil
	})
	return share, err
}

// leased runs an UPDATE of event_cursors c and returns its rows.
func leased(ctx context.Context, tx pgx.Tx, update string, args ...any) ([]ReaderShard, error) {
	rows, err := tx.Query(ctx, update+` RETURNING c.reader, c.shard::int, c.transaction_id::text, c.id, c.tries, c.lease`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r ReaderShard, err error) {
		var transaction string
		if err = row.Scan(&r.Reader, &r.Shard, &transaction, &r.Cursor.ID, &r.Tries, &r.Lease); err != nil {
			return r, err
		}
		r.Cursor.Transaction, err = strconv.ParseUint(transaction, 10, 64)
		return r, err
	})
}

// ReleaseShards releases shards of a reader before their lease ends.
func (s *Store) ReleaseShards(ctx context.Context, node, reader string, shards []int) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		UPDATE event_cursors SET leased_until = '-infinity', holder = NULL WHERE holder = $1 AND reader = $2 AND shard = ANY ($3::int[])`,
		node, reader, shards)
	return writeFailed("release shards of reader", reader, err)
}

// LeaveReaders releases everything that a node holds, and unregisters it.
func (s *Store) LeaveReaders(ctx context.Context, node string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		WITH gone AS (DELETE FROM event_nodes WHERE node = $1)
		UPDATE event_cursors SET leased_until = '-infinity', holder = NULL WHERE holder = $1`, node)
	return writeFailed("leave readers as", node, err)
}

// A ShardMove moves the cursor of a shard that the node holds. It moves it only from where
// the node left it: in a database that was put back the cursor is elsewhere, and what lies
// behind it may be unread.
type ShardMove struct {
	Shard  int
	Lease  int64
	From   domain.EventCursor
	Cursor domain.EventCursor
	Tries  int    // of the event after the cursor
	Error  string // why the shard is stuck; empty: it is not
}

// An AsideEvent is an event that a reader has set aside.
type AsideEvent struct {
	Shard   int
	Cursor  domain.EventCursor
	Subject string
	Type    domain.EventType
	Error   string // empty: it only waits behind another event of its subject
	Tries   int
	// RetryIn is when it may be retried; negative: only on request.
	RetryIn time.Duration
	// WasDue is the row's RetryAt when it was read, for one that was tried: a request to
	// retry that came meanwhile stays.
	WasDue time.Time
}

// AsideKey identifies an event that is set aside.
type AsideKey struct {
	Shard  int
	Cursor domain.EventCursor
}

// A ReaderStep is what a node has done for a reader since the last step.
type ReaderStep struct {
	Moves []ShardMove
	Put   []AsideEvent // set aside now
	Tried []AsideEvent // retried without success
	Done  []AsideKey   // retried and done
}

// MoveShards stores a step in one statement, and returns the shards that the node still
// has, and that are where it left them. For the others it stores nothing: whoever has them
// next goes on from their last cursor.
// A step that sets events of a shard aside must move that shard too. It may be repeated.
func (s *Store) MoveShards(ctx context.Context, node, reader string, step ReaderStep) (moved map[int]bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var m moveColumns
	for _, move := range step.Moves {
		m.add(move)
	}
	var put, tried asideColumns
	for _, e := range step.Put {
		put.add(e)
	}
	for _, e := range step.Tried {
		tried.add(e)
	}
	doneShards, doneAt := make([]int, 0, len(step.Done)), make([]domain.EventCursor, 0, len(step.Done))
	for _, key := range step.Done {
		doneShards, doneAt = append(doneShards, key.Shard), append(doneAt, key.Cursor)
	}
	doneTransactions, doneIDs := cursorColumns(doneAt)
	rows, err := s.pool.Query(ctx, moveShardsSQL,
		node, reader, m.shards, m.leases, m.transactions, m.ids, m.tries,
		put.shards, put.transactions, put.ids, put.subjects, put.types, put.errors, put.tries, put.retryIn,
		tried.shards, tried.transactions, tried.ids, tried.errors, tried.tries, tried.retryIn,
		doneShards, doneTransactions, doneIDs, m.errors, tried.wasDue, m.fromTransactions, m.fromIDs)
	if err != nil {
		return nil, writeFailed("move reader", reader, err)
	}
	shards, err := pgx.CollectRows(rows, pgx.RowTo[int])
	moved = make(map[int]bool, len(shards))
	for _, shard := range shards {
		moved[shard] = true
	}
	return moved, writeFailed("move reader", reader, err)
}

const moveShardsSQL = `
WITH mine AS (
	SELECT shard FROM event_cursors WHERE reader = $2 AND holder = $1 AND shard = ANY ($3::int[]) ORDER BY shard FOR NO KEY UPDATE
), moved AS (
	UPDATE event_cursors c SET transaction_id = m.transaction_id::xid8, id = m.id, tries = m.tries, error = m.error
	FROM unnest($3::int[], $4::bigint[], $5::text[], $6::bigint[], $7::int[], $25::text[], $27::text[], $28::bigint[])
	     m (shard, lease, transaction_id, id, tries, error, from_transaction_id, from_id) JOIN mine USING (shard)
	WHERE c.reader = $2 AND c.holder = $1 AND c.shard = m.shard AND c.lease = m.lease
	  AND (c.transaction_id = m.from_transaction_id::xid8 AND c.id = m.from_id
	       OR c.transaction_id = m.transaction_id::xid8 AND c.id = m.id) -- a repeat
	RETURNING c.shard
), put AS (
	INSERT INTO events_set_aside (reader, shard, transaction_id, id, subject, event, error, tries, retry_at)
	SELECT $2, p.shard, p.transaction_id::xid8, p.id, p.subject, p.event, p.error, p.tries, clock_timestamp() + p.retry_in
	FROM unnest($8::int[], $9::text[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::int[], $15::interval[])
	     p (shard, transaction_id, id, subject, event, error, tries, retry_in)
	JOIN moved USING (shard)
	ON CONFLICT DO NOTHING
), tried AS (
	UPDATE events_set_aside a SET error = t.error, tries = t.tries,
		retry_at = CASE WHEN a.retry_at IS NOT DISTINCT FROM t.was_due THEN clock_timestamp() + t.retry_in ELSE a.retry_at END
	FROM unnest($16::int[], $17::text[], $18::bigint[], $19::text[], $20::int[], $21::interval[], $26::timestamptz[])
	     t (shard, transaction_id, id, error, tries, retry_in, was_due)
	JOIN moved USING (shard)
	WHERE a.reader = $2 AND a.shard = t.shard AND a.transaction_id = t.transaction_id::xid8 AND a.id = t.id
), done AS (
	DELETE FROM events_set_aside a
	USING unnest($22::int[], $23::text[], $24::bigint[]) d (shard, transaction_id, id) JOIN moved USING (shard)
	WHERE a.reader = $2 AND a.shard = d.shard AND a.transaction_id = d.transaction_id::xid8 AND a.id = d.id
)
SELECT shard::int FROM moved`

type moveColumns struct {
	shards, tries []int
	leases, ids   []int64
	transactions  []string
	errors        []string

	fromTransactions []string
	fromIDs          []int64
}

func (m *moveColumns) add(move ShardMove) {
	m.shards, m.leases, m.tries = append(m.shards, move.Shard), append(m.leases, move.Lease), append(m.tries, move.Tries)
	m.errors = append(m.errors, move.Error)
	m.transactions, m.ids = append(m.transactions, strconv.FormatUint(move.Cursor.Transaction, 10)), append(m.ids, move.Cursor.ID)
	m.fromTransactions, m.fromIDs = append(m.fromTransactions, strconv.FormatUint(move.From.Transaction, 10)), append(m.fromIDs, move.From.ID)
}

type asideColumns struct {
	shards, tries                         []int
	ids                                   []int64
	transactions, subjects, types, errors []string
	retryIn                               []*time.Duration
	wasDue                                []*time.Time
}

func (a *asideColumns) add(e AsideEvent) {
	a.shards, a.tries = append(a.shards, e.Shard), append(a.tries, e.Tries)
	a.transactions, a.ids = append(a.transactions, strconv.FormatUint(e.Cursor.Transaction, 10)), append(a.ids, e.Cursor.ID)
	a.subjects, a.types, a.errors = append(a.subjects, e.Subject), append(a.types, string(e.Type)), append(a.errors, e.Error)
	retryIn := &e.RetryIn
	if e.RetryIn < 0 {
		retryIn = nil
	}
	a.retryIn, a.wasDue = append(a.retryIn, retryIn), append(a.wasDue, nullTime(e.WasDue))
}

// An AsideRow is the row of an event that is set aside.
type AsideRow struct {
	Reader  string
	Shard   int
	Cursor  domain.EventCursor
	Event   domain.EventID
	Subject string
	Type    domain.EventType
	Error   string
	Tries   int
	Since   time.Time
	RetryAt time.Time // zero: only on request
	Due     bool      // it is due
}

// SetAside returns the events that a reader has set aside, in the order of the log, at most
// limit. An empty name means all readers, and no shards mean all shards.
func (s *Store) SetAside(ctx context.Context, reader string, shards []int, limit int) ([]AsideRow, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT a.reader, a.shard::int, a.transaction_id::text, a.id, coalesce(e.created_at, a.since), event_log.origin,
		       a.subject, a.event, a.error, a.tries, a.since, a.retry_at, coalesce(a.retry_at <= clock_timestamp(), false)
		FROM events_set_aside a LEFT JOIN outbox e ON e.transaction_id = a.transaction_id AND e.id = a.id, event_log
		WHERE ($1 = '' OR a.reader = $1) AND (cardinality($2::int[]) = 0 OR a.shard = ANY ($2::int[]))
		ORDER BY a.reader COLLATE "C", a.transaction_id, a.id LIMIT $3`, reader, append([]int{}, shards...), limit)
	if err != nil {
		return nil, readFailed("list", "events that are set aside", err)
	}
	aside, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r AsideRow, err error) {
		var (
			transaction string
			at          time.Time
			origin      int64
			retryAt     *time.Time
		)
		err = row.Scan(&r.Reader, &r.Shard, &transaction, &r.Cursor.ID, &at, &origin,
			&r.Subject, &r.Type, &r.Error, &r.Tries, &r.Since, &retryAt, &r.Due)
		if err != nil {
			return r, err
		}
		r.Since, r.RetryAt, r.Event = r.Since.UTC(), fromNull(retryAt), domain.NewEventID(at, uint32(origin), r.Cursor.ID)
		r.Cursor.Transaction, err = strconv.ParseUint(transaction, 10, 64)
		return r, err
	})
	return aside, readFailed("list", "events that are set aside", err)
}

// RetrySetAside makes set-aside events of a reader due at once: one event, or, if the id is
// zero, all that wait for a request. It returns how many.
func (s *Store) RetrySetAside(ctx context.Context, reader string, event domain.EventID) (int64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.pool.Exec(ctx, `
		UPDATE events_set_aside SET retry_at = clock_timestamp()
		WHERE reader = $1 AND CASE WHEN $2 THEN retry_at IS NULL ELSE id = $3 END`, reader, event == domain.EventID{}, event.Row())
	return tag.RowsAffected(), writeFailed("retry events of reader", reader, err)
}

// SkipSetAside gives up an event: the reader never handles it, and the events of its
// subject that wait behind it go on. It fails with a *domain.Error with CodeNotFound if the
// event is not set aside.
func (s *Store) SkipSetAside(ctx context.Context, reader string, event domain.EventID) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.pool.Exec(ctx, `DELETE FROM events_set_aside WHERE reader = $1 AND id = $2`, reader, event.Row())
	if err == nil && tag.RowsAffected() == 0 {
		err = domain.NotFound("event that this reader has set aside")
	}
	return writeFailed("skip an event of reader", reader, err)
}

// lagCountMax bounds how many unread events are counted.
const lagCountMax = 10_000

// A ReaderState says how far a reader is.
type ReaderState struct {
	Reader    string
	LagEvents int64         // events that its slowest shard has not read, at most lagCountMax
	Lag       time.Duration // since the oldest of them was written
	Failing   int           // shards that are stuck, see Error
	Error     string        // why one of them is stuck
	Unheld    int           // shards that no node holds
	SetAside  int64         // events that are set aside
	Stuck     int64         // those of them that wait for a request
}

// ReaderStates returns how far all readers are, including those that no node runs.
func (s *Store) ReaderStates(ctx context.Context) ([]ReaderState, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	states, err := s.readerStates(ctx, "")
	return states, readFailed("read", "readers", err)
}

// readerStates are those of one reader, or of all where none is named.
func (s *Store) readerStates(ctx context.Context, reader string) ([]ReaderState, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT slowest.reader,
		       (SELECT count(*) FROM (SELECT FROM outbox e WHERE (e.transaction_id, e.id) > (slowest.transaction_id, slowest.id) LIMIT $1) unread),
		       coalesce((SELECT greatest(clock_timestamp() - e.created_at, '0') FROM outbox e
		                 WHERE (e.transaction_id, e.id) > (slowest.transaction_id, slowest.id)
		                 ORDER BY e.transaction_id, e.id LIMIT 1), '0'),
		       slowest.failing, slowest.error, slowest.unheld,
		       (SELECT count(*) FROM events_set_aside a WHERE a.reader = slowest.reader),
		       (SELECT count(*) FROM events_set_aside a WHERE a.reader = slowest.reader AND a.retry_at IS NULL)
		FROM (
			SELECT DISTINCT ON (reader COLLATE "C") reader, c.transaction_id, c.id,
			       (count(*) FILTER (WHERE c.error <> '') OVER one)::int AS failing, max(c.error COLLATE "C") OVER one AS error,
			       (count(*) FILTER (WHERE c.leased_until < clock_timestamp()) OVER one)::int AS unheld
			FROM event_cursors c WHERE $2 IN ('', c.reader) WINDOW one AS (PARTITION BY c.reader)
			ORDER BY reader COLLATE "C", c.transaction_id, c.id
		) slowest ORDER BY slowest.reader COLLATE "C"`, lagCountMax, reader)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ReaderState])
}
