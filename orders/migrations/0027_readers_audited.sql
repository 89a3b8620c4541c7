-- What an audit needs to say that a reader has passed no event over.
--
-- Where a reader began: it owes nothing for what is before. Of those that are there it is
-- not known, so they are audited from here on.
ALTER TABLE event_cursors ADD COLUMN from_transaction_id xid8, ADD COLUMN from_id bigint;
UPDATE event_cursors c SET (from_transaction_id, from_id) = (
    SELECT o.transaction_id, o.id FROM event_cursors o WHERE o.reader = c.reader ORDER BY o.transaction_id DESC, o.id DESC LIMIT 1);

-- Since when an endpoint wants what it wants.
ALTER TABLE webhook_endpoints ADD COLUMN wants_since timestamptz NOT NULL DEFAULT clock_timestamp();

-- The mails about an order.
CREATE INDEX mails_orders ON mails (order_id, kind) WHERE order_id IS NOT NULL;
