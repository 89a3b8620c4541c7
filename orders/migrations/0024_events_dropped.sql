-- How far events were dropped, as a place in their order: whoever follows them by a cursor
-- of their own is told that some are missing, and where to go on.
ALTER TABLE event_log
    ADD COLUMN dropped_transaction_id xid8   NOT NULL DEFAULT '0',
    ADD COLUMN dropped_id             bigint NOT NULL DEFAULT 0;
