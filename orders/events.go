package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// EventsPageMax is the most events that EventsAfter returns at once.
const EventsPageMax = 1000

// An Event is a row of the outbox: what happened, in the transaction that it tells
// of. It carries no buyer's data.
type Event struct {
	Cursor    EventCursor
	Type      domain.EventType
	SaleID    string // empty: of no sale
	Order     domain.OrderID
	Payment   string
	Payload   json.RawMessage
	CreatedAt time.Time
}

// An EventCursor is a place in the order of events: behind one of them, or, as the
// zero value, before the first.
type EventCursor struct {
	Transaction uint64
	ID          int64
}

// String gives the cursor as a reader may keep it.
func (c EventCursor) String() string { return fmt.Sprintf("%d-%d", c.Transaction, c.ID) }

// ParseEventCursor reads what String gave.
func ParseEventCursor(text string) (c EventCursor, err error) {
	transaction, id, _ := strings.Cut(text, "-")
	c.Transaction, err = strconv.ParseUint(transaction, 10, 64)
	if err == nil {
		c.ID, err = strconv.ParseInt(id, 10, 64)
	}
	if err != nil || c.ID < 0 || c.String() != text {
		return EventCursor{}, domain.Invalid("cursor", "must be one that came with an event")
	}
	return c, nil
}

// EventsAfter returns the events that follow a cursor, at most limit
// (1…EventsPageMax), in an order that never gains an event behind a cursor that was
// handed out: a reader who goes on from the last event's misses none. What depends on
// another transaction comes after it, so that an order's events come as they
// happened. An empty answer means that there is nothing more for the moment.
//
// Ids are given when a row is written and not when it is committed, so the order is
// that of the transactions, and only those are shown before which no other is open:
//
//	WHERE (transaction_id, id) > (…) AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
//
// A transaction that writes and stays open, in whatever database of the server,
// therefore delays events. It never hides one.
//
// The error is a *domain.Error with CodeInvalid where the cursor is of another
// server, of which this one's data was dumped: the reader starts over, and hears of
// events again.
func (s *Store) EventsAfter(ctx context.Context, after EventCursor, limit int) ([]Event, error) {
	if limit < 1 || limit > EventsPageMax {
		return nil, domain.Invalid("limit", fmt.Sprintf("must be 1–%d", EventsPageMax))
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	events, err := s.eventsAfter(ctx, after, limit)
	if err == nil && len(events) == 0 && after != (EventCursor{}) {
		err = s.checkCursor(ctx, after)
	}
	return events, readFailed("read events after", after.String(), err)
}

func (s *Store) eventsAfter(ctx context.Context, after EventCursor, limit int) ([]Event, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT e.transaction_id::text, e.id, e.event, coalesce(e.sale_id, ''), e.order_id, coalesce(e.payment, ''), e.payload, e.created_at
		FROM outbox e
		WHERE (e.transaction_id, e.id) > ($1::text::xid8, $2) AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
		ORDER BY e.transaction_id, e.id LIMIT $3`, strconv.FormatUint(after.Transaction, 10), after.ID, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Event, error) {
		var (
			e           Event
			transaction string
			order       pgtype.UUID
		)
		err := row.Scan(&transaction, &e.Cursor.ID, &e.Type, &e.SaleID, &order, &e.Payment, &e.Payload, &e.CreatedAt)
		if err != nil {
			return e, err
		}
		e.Order, e.CreatedAt = order.Bytes, e.CreatedAt.UTC()
		e.Cursor.Transaction, err = strconv.ParseUint(transaction, 10, 64)
		return e, err
	})
}

// checkCursor: a server that has not come so far never gave this cursor.
func (s *Store) checkCursor(ctx context.Context, c EventCursor) error {
	var foreign bool
	err := s.pool.QueryRow(ctx, `SELECT $1::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot())`, strconv.FormatUint(c.Transaction, 10)).Scan(&foreign)
	if err == nil && foreign {
		err = domain.Invalid("cursor", "must be of this database: the events were restored on another server, start over")
	}
	return err
}

// adoptEvents takes over events from a dump of another server, whose transactions
// this one has not come to yet: nobody would see them until it has. They become
// those of this transaction, in the order of their ids.
func adoptEvents(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		UPDATE outbox SET transaction_id = pg_current_xact_id()
		WHERE transaction_id >= pg_snapshot_xmax(pg_current_snapshot())`)
	return err
}
