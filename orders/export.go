package orders

import (
	"context"
	"encoding/json"
	"slices"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Kept returns all that this database keeps of orders, sorted by id: one record an order, sold or not. Errors as of any read.
func (s *Store) Kept(ctx context.Context, ids []domain.OrderID) ([]domain.BuyersRecord, error) {
	reading, cancel := s.bounded(ctx)
	defer cancel()
	sold, err := s.queryOrders(reading, `WHERE o.id = ANY ($1)`, uuidsOf(ids))
	if err != nil {
		return nil, readFailed("read", "the orders of a buyer", err)
	}
	records := make([]domain.BuyersRecord, len(ids))
	for i, id := range slices.SortedFunc(slices.Values(ids), func(a, b domain.OrderID) int { return slices.Compare(a[:], b[:]) }) {
		records[i].ID = id
		if j := slices.IndexFunc(sold, func(o domain.SoldOrder) bool { return o.ID == id }); j >= 0 {
			records[i].Sold = &sold[j]
		}
	}
	of := func(id domain.OrderID) *domain.BuyersRecord {
		i, ok := slices.BinarySearchFunc(records, id, func(r domain.BuyersRecord, id domain.OrderID) int { return slices.Compare(r.ID[:], id[:]) })
		if !ok {
			return &domain.BuyersRecord{} // of nobody who was asked for
		}
		return &records[i]
	}
	refunds, err := s.queryRefunds(reading, `WHERE p.order_id = ANY ($1) ORDER BY r.requested_at, p.id COLLATE "C"`, uuidsOf(ids))
	if err != nil {
		return nil, readFailed("read", "the refunds of a buyer", err)
	}
	for _, r := range refunds {
		record := of(r.Capture.Order)
		record.Refunds = append(record.Refunds, r)
	}
	err = s.erasing(ctx, func(ctx context.Context, tx pgx.Tx) error {
		mails, err := queryMails(ctx, tx, `WHERE order_id = ANY ($1) ORDER BY queued_at, mails.id COLLATE "C"`, uuidsOf(ids))
		if err != nil {
			return err
		}
		for _, m := range mails {
			record := of(m.Order)
			record.Mails = append(record.Mails, m)
		}
		return keptByOthers(ctx, tx, ids, of)
	})
	return records, readFailed("read", "what is kept of a buyer", err)
}

// keptByOthers reads what endpoints and readers of the event log said about orders.
func keptByOthers(ctx context.Context, tx pgx.Tx, ids []domain.OrderID, of func(domain.OrderID) *domain.BuyersRecord) error {
	subjects := make([]string, len(ids))
	for i, id := range ids {
		subjects[i] = id.String()
	}
	rows, err := tx.Query(ctx, `
		SELECT subject, log FROM webhook_deliveries WHERE subject = ANY ($1) AND log <> '[]' ORDER BY event_row, endpoint COLLATE "C"`, subjects)
	if err != nil {
		return err
	}
	var subject string
	var log json.RawMessage
	_, err = pgx.ForEachRow(rows, []any{&subject, &log}, func() error {
		id, err := domain.ParseOrderID(subject)
		if err == nil {
			record := of(id)
			record.Answers = append(record.Answers, slices.Clone(log))
		}
		return err
	})
	if err != nil {
		return err
	}
	rows, err = tx.Query(ctx, `
		SELECT subject, error FROM events_set_aside WHERE subject = ANY ($1) AND error <> '' ORDER BY reader COLLATE "C", since, events_set_aside.id`, subjects)
	if err != nil {
		return err
	}
	var said string
	_, err = pgx.ForEachRow(rows, []any{&subject, &said}, func() error {
		id, err := domain.ParseOrderID(subject)
		if err == nil {
			record := of(id)
			record.SetAside = append(record.SetAside, said)
		}
		return err
	})
	return err
}

// AskedMails returns the mails that somebody asked for by one of the addresses.
func (s *Store) AskedMails(ctx context.Context, addresses []string) (asked []domain.AskedMail, err error) {
	err = s.erasing(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT state, queued_at FROM mails WHERE asked_by = ANY ($1) ORDER BY queued_at, mails.id COLLATE "C"`, addresses)
		if err != nil {
			return err
		}
		asked, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m domain.AskedMail, err error) {
			err = row.Scan(&m.State, &m.QueuedAt)
			m.QueuedAt = m.QueuedAt.UTC()
			return m, err
		})
		return err
	})
	return asked, readFailed("read", "the mails of a buyer", err)
}

// DueBuyers returns orders whose buyers' data are past the time for which their sale keeps them, sorted by id, after an id, at most limit:
// sold orders whose money is not on its way. A sale keeps them for a number of days after it has ended: after the latest of its event's
// end, the close of its window, and the organiser's own end. Without any of these it has no end, and keeps them.
func (s *Store) DueBuyers(ctx context.Context, after domain.OrderID, limit int) (due []domain.OrderID, err error) {
	err = s.erasing(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT o.id FROM sales s JOIN orders o ON o.sale_id = s.id
			WHERE s.buyers_kept_days IS NOT NULL
			  AND greatest(coalesce(nullif(s.facts ->> 'ends_at', ''), nullif(s.facts ->> 'starts_at', ''))::timestamptz, s.closes_at, s.ended_at,
			               (SELECT c.requested_at FROM sale_cancellations c WHERE c.sale_id = s.id))
			      + make_interval(days => s.buyers_kept_days) <= now()
			  AND o.erased_at IS NULL AND o.status <> 'refunding' AND o.id > $1
			ORDER BY o.id LIMIT $2`, uuidOf(after), limit)
		if err != nil {
			return err
		}
		due, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.OrderID, error) {
			var id pgtype.UUID
			err := row.Scan(&id)
			return id.Bytes, err
		})
		return err
	})
	return due, readFailed("find", "buyers whose data are due", err)
}
