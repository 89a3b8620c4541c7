-- The order in which a reader may trust to see every event: by transaction, and by id
-- within one. Ids alone are given before the commit: a reader that follows them
-- skips those of a transaction that commits after one that began later. How it is
-- read is in Store.EventsAfter. Events of before this migration count as of its
-- transaction: no row is written for that.
ALTER TABLE outbox ADD COLUMN transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id();
-- In place of the one on id, so that an event costs no index more.
ALTER TABLE outbox
    DROP CONSTRAINT outbox_pkey,
    ADD PRIMARY KEY (transaction_id, id);
