package orders

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// EventsPageMax is the most events that are read at once.
const EventsPageMax = 1000

// Queries and pages are domain's types, so that other packages can use them without this one.
type (
	// EventQuery is domain.EventQuery.
	EventQuery = domain.EventQuery
	// EventPage is domain.EventPage.
	EventPage = domain.EventPage
)

// EventsAfter returns the events that follow a cursor, at most limit (1…EventsPageMax). No
// event ever appears before a cursor that was handed out, so a reader that goes on from the
// last one misses none. An event comes after the transactions that it depends on, so an
// order's events come as they happened. An empty answer means that there is nothing more
// for the moment.
//
// A row gets its id when it is written, not when it is committed. So events are sorted by
// transaction, and shown only once no earlier transaction is open:
//
//	WHERE (transaction_id, id) > (…) AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
//
// So a writing transaction that stays open, in any database of the server, delays events.
// It never hides one.
//
// It fails with a *domain.Error with CodeInvalid if the cursor is from another server, from
// whose dump this one was restored. The reader starts over and sees events again.
func (s *Store) EventsAfter(ctx context.Context, after domain.EventCursor, limit int) ([]domain.Event, error) {
	page, err := s.Events(ctx, EventQuery{After: after, Limit: limit})
	return page.Events, err
}

// Events is EventsAfter with a selection. The limit bounds the events that it looks at.
func (s *Store) Events(ctx context.Context, q EventQuery) (EventPage, error) {
	if q.Limit < 1 || q.Limit > EventsPageMax {
		return EventPage{}, domain.Invalid("limit", fmt.Sprintf("must be 1–%d", EventsPageMax))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	page, err := s.events(ctx, &q)
	if err == nil && page.Next == q.After && q.After != (domain.EventCursor{}) {
		err = s.checkCursor(ctx, q.After)
	}
	return page, readFailed("read events after", q.After.String(), err)
}

// eventColumns are the columns of e and event_log that scanEvent reads.
const eventColumns = `e.transaction_id::text, e.id, e.event, e.schema_version, coalesce(e.sale_id, ''), e.order_id, coalesce(e.payment, ''),
	e.created_at, event_log.origin`

func (s *Store) events(ctx context.Context, q *EventQuery) (page EventPage, err error) {
	types := make([]string, 0, len(q.Types))
	for _, t := range q.Types {
		types = append(types, string(t))
	}
	rows, err := s.pool.Query(ctx, `
		SELECT `+eventColumns+`, e.is_wanted, CASE WHEN e.is_wanted THEN e.payload END
		FROM (
			SELECT *, (cardinality($4::text[]) = 0 OR event = ANY ($4)) AND ($5 = '' OR sale_id IS NOT DISTINCT FROM $5)
				AND ($6::uuid IS NULL OR order_id IS NOT DISTINCT FROM $6) AS is_wanted
			FROM outbox
			WHERE (transaction_id, outbox.id) > ($1::text::xid8, $2) AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
			ORDER BY outbox.transaction_id, outbox.id LIMIT $3
		) e, event_log
		ORDER BY e.transaction_id, e.id`,
		strconv.FormatUint(q.After.Transaction, 10), q.After.ID, q.Limit, types, q.Sale, pgtype.UUID{Bytes: q.Order, Valid: !q.Order.IsZero()})
	if err != nil {
		return EventPage{}, err
	}
	defer rows.Close()
	looked := 0
	page.Next = q.After
	for rows.Next() {
		var wanted bool
		e, err := scanEvent(rows, &wanted)
		if err != nil {
			return EventPage{}, err
		}
		looked++
		page.Next, page.NextID = e.Cursor, e.ID
		if wanted {
			page.Events = append(page.Events, e)
		}
	}
	page.More = looked == q.Limit
	return page, rows.Err()
}

// scanEvent reads eventColumns, any extra columns, and the payload.
func scanEvent(row pgx.Row, more ...any) (e domain.Event, err error) {
	var (
		transaction string
		order       pgtype.UUID
		origin      int64
		payload     []byte
	)
	targets := append([]any{&transaction, &e.Cursor.ID, &e.Type, &e.Schema, &e.SaleID, &order, &e.Payment, &e.OccurredAt, &origin}, more...)
	if err = row.Scan(append(targets, &payload)...); err != nil {
		return e, err
	}
	e.Order, e.OccurredAt, e.Payload = order.Bytes, e.OccurredAt.UTC(), payload
	e.ID = domain.NewEventID(e.OccurredAt, uint32(origin), e.Cursor.ID)
	e.Cursor.Transaction, err = strconv.ParseUint(transaction, 10, 64)
	return e, err
}

// EventsAt returns the events at the cursors, in the order of the log, without those that
// were dropped.
func (s *Store) EventsAt(ctx context.Context, at []domain.EventCursor) ([]domain.Event, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	transactions, ids := cursorColumns(at)
	rows, err := s.pool.Query(ctx, `
		SELECT `+eventColumns+`, e.payload
		FROM unnest($1::text[], $2::bigint[]) wanted (transaction_id, id)
		JOIN outbox e ON e.transaction_id = wanted.transaction_id::xid8 AND e.id = wanted.id, event_log
		ORDER BY e.transaction_id, e.id`, transactions, ids)
	if err != nil {
		return nil, readFailed("read", "events", err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.Event, error) { return scanEvent(row) })
	return events, readFailed("read", "events", err)
}

func cursorColumns(cursors []domain.EventCursor) (transactions []string, ids []int64) {
	transactions, ids = make([]string, len(cursors)), make([]int64, len(cursors))
	for i, c := range cursors {
		transactions[i], ids[i] = strconv.FormatUint(c.Transaction, 10), c.ID
	}
	return transactions, ids
}

// EventHead returns the cursor of the present last event; zero if there is none. Events
// that commit later have later cursors.
func (s *Store) EventHead(ctx context.Context) (head domain.EventCursor, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var transaction string
	err = s.pool.QueryRow(ctx, `
		SELECT transaction_id::text, outbox.id FROM outbox WHERE transaction_id < pg_snapshot_xmin(pg_current_snapshot())
		ORDER BY outbox.transaction_id DESC, outbox.id DESC LIMIT 1`).Scan(&transaction, &head.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.EventCursor{}, nil
	}
	if err == nil {
		head.Transaction, err = strconv.ParseUint(transaction, 10, 64)
	}
	return head, readFailed("read", "the last event", err)
}

// checkCursor refuses a cursor that this server cannot have given, because its transactions
// have not come so far.
func (s *Store) checkCursor(ctx context.Context, c domain.EventCursor) error {
	var foreign bool
	err := s.pool.QueryRow(ctx, `SELECT $1::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot())`, strconv.FormatUint(c.Transaction, 10)).Scan(&foreign)
	if err == nil && foreign {
		err = domain.Invalid("cursor", "must be of this database: the events were restored on another server, start over")
	}
	return err
}

// adoptEvents takes over events from a dump of another server whose transaction ids are
// ahead of ours. Nobody would see them until ours caught up. It gives them this
// transaction's id and keeps the order of their ids. It moves the readers' cursors too, to
// before the first event that they had not read, so that none is missed and few are read
// again. Deliveries that are not pending keep their transaction, because nothing reads it.
func adoptEvents(ctx context.Context, tx pgx.Tx) error {
	for _, sql := range []string{`
		UPDATE event_cursors c SET transaction_id = pg_current_xact_id(), lease = lease + 1, id = coalesce(
			(SELECT min(e.id) - 1 FROM outbox e
			 WHERE e.transaction_id >= pg_snapshot_xmax(pg_current_snapshot()) AND (e.transaction_id, e.id) > (c.transaction_id, c.id)),
			(SELECT max(e.id) FROM outbox e WHERE e.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())), 0)
		WHERE c.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())`, `
		UPDATE events_set_aside SET transaction_id = pg_current_xact_id()
		WHERE transaction_id >= pg_snapshot_xmax(pg_current_snapshot())`, `
		UPDATE event_log SET dropped_transaction_id = pg_current_xact_id(), dropped_id = 0
		WHERE dropped_transaction_id >= pg_snapshot_xmax(pg_current_snapshot())`, `
		UPDATE webhook_deliveries SET transaction_id = pg_current_xact_id()
		WHERE state = 'pending' AND transaction_id >= pg_snapshot_xmax(pg_current_snapshot())`, `
		UPDATE outbox SET transaction_id = pg_current_xact_id()
		WHERE transaction_id >= pg_snapshot_xmax(pg_current_snapshot())`,
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// eventsDropMax is the most events that are dropped at once.
const eventsDropMax = 1000

// DropEvents deletes some of the events that are older than kept and that every reader has
// passed, and says whether there may be more. An event that is set aside stays, and so does
// one with a pending webhook. Each transaction deletes a bounded number, so that nobody
// waits for it. The views keep what the events contributed, see dropFigures.
func (s *Store) DropEvents(ctx context.Context, kept time.Duration) (more bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var dropped []domain.Event
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			WITH oldest AS (
				SELECT e.transaction_id, e.id, e.created_at FROM outbox e
				WHERE NOT EXISTS (SELECT FROM events_set_aside a WHERE a.transaction_id = e.transaction_id AND a.id = e.id)
				  AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.transaction_id = e.transaction_id AND d.event_row = e.id AND d.state = 'pending')
				  AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
				ORDER BY e.transaction_id, e.id LIMIT $2
			), gone AS (
				DELETE FROM outbox e USING oldest o
				WHERE e.transaction_id = o.transaction_id AND e.id = o.id AND now() - $1::interval > e.created_at
				  AND NOT EXISTS (SELECT FROM event_cursors c WHERE (c.transaction_id, c.id) < (o.transaction_id, o.id))
				RETURNING e.*
			), noted AS (
				UPDATE event_log SET dropped_until = greatest(dropped_until, (SELECT max(created_at) FROM gone)),
					(dropped_transaction_id, dropped_id) = (
						SELECT transaction_id, id FROM (
							SELECT event_log.dropped_transaction_id AS transaction_id, event_log.dropped_id AS id UNION ALL SELECT gone.transaction_id, gone.id FROM gone
						) outbox ORDER BY outbox.transaction_id DESC, outbox.id DESC LIMIT 1)
				WHERE EXISTS (SELECT FROM gone)
			)
			SELECT `+eventColumns+`, e.payload FROM gone e, event_log`, kept, eventsDropMax)
		if err != nil {
			return err
		}
		dropped, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.Event, error) { return scanEvent(row) })
		if err != nil || len(dropped) == 0 {
			return err
		}
		return dropFigures(ctx, tx, dropped)
	})
	return len(dropped) == eventsDropMax, writeFailed("drop", "old events", err)
}

// EventPlace returns what the log has at a cursor, and the cursor after which nothing is missing.
func (s *Store) EventPlace(ctx context.Context, at domain.EventCursor) (place domain.EventPlace, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var (
		dropped string
		created *time.Time
		origin  int64
	)
	err = s.pool.QueryRow(ctx, `
		SELECT dropped_transaction_id::text, dropped_id, origin, (SELECT created_at FROM outbox WHERE transaction_id = $1::text::xid8 AND id = $2)
		FROM event_log`, strconv.FormatUint(at.Transaction, 10), at.ID).Scan(&dropped, &place.DroppedTo.ID, &origin, &created)
	if err == nil {
		place.DroppedTo.Transaction, err = strconv.ParseUint(dropped, 10, 64)
	}
	if created != nil {
		place.ID = domain.NewEventID(*created, uint32(origin), at.ID)
	}
	return place, readFailed("read", "the range of events", err)
}

// behindAll is the id of a cursor after all events of its transaction.
const behindAll = math.MaxInt64
