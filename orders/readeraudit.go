package orders

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"boxoffice/domain"
)

// webhooksAuditedFor limits the age of the events whose deliveries are looked for.
// Deliveries are kept longer than that.
const webhooksAuditedFor = "7 days"

// ReaderCounts compares what readers have read of a sale's events with what they made of
// them, in one snapshot. With an empty id it covers events of no sale, and the positions
// of all readers in the log. It counts only what every part of a reader has read and not
// set aside: the rest is still to come.
func (s *Store) ReaderCounts(ctx context.Context, saleID string) ([]domain.ReaderCount, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var events, kinds []string
	for event, kind := range domain.MailKinds() {
		events, kinds = append(events, string(event)), append(kinds, string(kind))
	}
	positions := ""
	if saleID == "" {
		positions = readerPositionsSQL
	}
	rows, err := s.pool.Query(ctx, fmt.Sprintf(readerCountsSQL, ofSale(saleID), positions),
		saleID, domain.ReaderMail, domain.ReaderWebhooks, events, kinds, webhooksAuditedFor)
	if err != nil {
		return nil, readFailed("count the effects of events of", saleID, err)
	}
	counts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c domain.ReaderCount, err error) {
		var faults []byte
		if err = row.Scan(&c.Reader, &c.Owed, &c.Done, &faults); err == nil && faults != nil {
			err = json.Unmarshal(faults, &c.Faults)
		}
		return c, err
	})
	return counts, readFailed("count the effects of events of", saleID, err)
}

// readerCountsSQL: each row of owed is an effect that a reader owes; wrong is NULL if it
// is there.
const readerCountsSQL = `
WITH readers AS (
	SELECT reader, (array_agg(transaction_id ORDER BY transaction_id, event_cursors.id))[1] AS to_transaction,
	       (array_agg(id ORDER BY transaction_id, event_cursors.id))[1] AS to_id,
	       (array_agg(from_transaction_id))[1] AS from_transaction, (array_agg(from_id))[1] AS from_id -- the same in all parts
	FROM event_cursors WHERE reader IN ($2, $3) GROUP BY reader
	HAVING count(from_transaction_id) = count(*) -- a node of an earlier release does not say where the reader began
), handled AS (
	SELECT r.reader, w.transaction_id, w.id, w.event, w.order_id, w.sale_id, w.created_at, ` + eventIDText + ` AS event_id
	FROM outbox w CROSS JOIN event_log CROSS JOIN readers r
	WHERE %s AND (w.transaction_id, w.id) <= (r.to_transaction, r.to_id) AND (w.transaction_id, w.id) > (r.from_transaction, r.from_id)
	  AND NOT EXISTS (SELECT FROM events_set_aside a WHERE a.reader = r.reader AND a.transaction_id = w.transaction_id AND a.id = w.id)
), mailed AS (
	SELECT h.reader, h.event_id, h.order_id, kind.kind, own.kind AS own_kind, own.order_id AS own_order,
	       (SELECT count(*) FROM mails m WHERE m.order_id = h.order_id AND m.kind = kind.kind) AS mails
	FROM handled h JOIN unnest($4::text[], $5::text[]) kind (event, kind) USING (event) LEFT JOIN mails own ON own.id = h.event_id
	WHERE h.reader = $2
), told AS (
	SELECT outbox.reader, outbox.event_id, outbox.order_id, outbox.event, outbox.transaction_id, p.id AS endpoint,
	       d.endpoint IS NOT NULL AS is_queued, d.event AS as_event, d.type AS as_type, d.state, d.transaction_id AS as_transaction
	FROM handled outbox CROSS JOIN webhook_endpoints p LEFT JOIN webhook_deliveries d ON d.endpoint = p.id AND d.event_row = outbox.id
	WHERE outbox.reader = $3 AND (d.endpoint IS NOT NULL OR p.disabled_at IS NULL
		AND outbox.created_at >= greatest(p.created_at, p.wants_since) AND outbox.created_at > now() - $6::text::interval
		AND (p.sale_id IS NULL OR p.sale_id = outbox.sale_id) AND (cardinality(p.types) = 0 OR outbox.event = ANY (p.types)))
), owed AS (
	SELECT reader, event_id AS fault, order_id, CASE
		WHEN own_kind IS NULL THEN 'read, and no mail was queued'
		WHEN own_kind <> kind OR own_order IS DISTINCT FROM order_id THEN 'its mail is another: ' || own_kind
		WHEN mails <> 1 THEN mails || ' mails of this kind about the order'
	END AS wrong FROM mailed
	UNION ALL
	SELECT reader, event_id || ' for ' || endpoint, order_id, CASE
		WHEN NOT is_queued THEN 'read, and not queued for the endpoint'
		WHEN as_event <> event_id OR as_type <> event THEN 'queued as another event: ' || as_event || ' ' || as_type
		WHEN state = 'pending' AND as_transaction <> transaction_id THEN 'pending under another transaction, so it is never sent'
	END FROM told
	%s
)
SELECT reader, count(*), count(*) FILTER (WHERE wrong IS NULL),
       jsonb_agg(jsonb_strip_nulls(jsonb_build_object('id', fault, 'order', replace(order_id::text, '-', ''), 'what', wrong)) ORDER BY fault COLLATE "C")
       FILTER (WHERE wrong IS NOT NULL AND n <= 20)
FROM (SELECT *, row_number() OVER (PARTITION BY reader, wrong IS NULL ORDER BY fault COLLATE "C") AS n FROM owed) numbered
GROUP BY reader ORDER BY reader COLLATE "C"`

const readerPositionsSQL = `
	UNION ALL
	SELECT '', reader || '/' || shard, NULL, CASE
		WHEN transaction_id >= pg_snapshot_xmin(pg_current_snapshot()) THEN 'the cursor is ahead of the log, and skips what commits before it'
	END FROM event_cursors
	UNION ALL
	SELECT '', a.reader || '/' || a.shard || ' ' || a.transaction_id || '-' || a.id, NULL, CASE
		WHEN NOT EXISTS (SELECT FROM outbox e WHERE e.transaction_id = a.transaction_id AND e.id = a.id) THEN 'set aside, and not in the log'
		WHEN (a.transaction_id, a.id) > (c.transaction_id, c.id) THEN 'set aside, and still to be read'
	END FROM events_set_aside a JOIN event_cursors c USING (reader, shard)`
