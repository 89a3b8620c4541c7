-- The outbox becomes the event log that everybody reads. Rows that are there stay as
-- they are, and nodes of the release before go on writing theirs.
--
-- Which types there are is decided in one place, domain/event.go; here only their form
-- is: a new one needs no migration. NOT VALID: what is there met a stricter rule.
ALTER TABLE outbox
    ADD COLUMN schema_version smallint NOT NULL DEFAULT 1, -- of the payload
    DROP CONSTRAINT outbox_event_check,
    ADD CONSTRAINT outbox_event_check CHECK (CASE
        WHEN event IN ('order.paid', 'order.refund_begun', 'order.refunded', 'payment.refunded')
            THEN order_id IS NOT NULL AND payment IS NOT NULL
        WHEN event ~ '^(sale|audit)\.[a-z_]{1,40}$' THEN order_id IS NULL AND payment IS NULL
        ELSE event ~ '^[a-z]{1,20}\.[a-z_]{1,40}$' AND order_id IS NOT NULL
    END) NOT VALID;

-- What there is to know of the log as a whole: one row.
CREATE TABLE event_log (
    is_only       boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    -- Tells installations apart in the events' ids. A dump takes it along.
    origin        bigint NOT NULL DEFAULT (('x' || left(replace(gen_random_uuid()::text, '-', ''), 8))::bit(32)::bigint)
                  CHECK (origin BETWEEN 0 AND 4294967295),
    -- Events were dropped for their age: none that is missing is older than this.
    dropped_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO event_log DEFAULT VALUES;

-- What was announced of a sale: the events of its opening and of its stock are written
-- by whoever changes this row, so that many nodes write each of them once.
CREATE TABLE sale_states (
    sale_id   text PRIMARY KEY REFERENCES sales,
    -- NULL: nobody has asked the ledger since before there were events.
    sold_out  boolean
);
-- Sales that opened before have no event of it.
INSERT INTO sale_states (sale_id)
SELECT id FROM sales WHERE funded_at IS NOT NULL AND coalesce(opens_at, funded_at) <= now();
