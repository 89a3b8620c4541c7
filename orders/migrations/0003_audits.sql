-- What the scheduled audit found, so that every process can say it, whichever
-- one looked: one row a sale, and '' for what belongs to no sale.
CREATE TABLE audits (
    sale_id     text PRIMARY KEY,
    ended_at    timestamptz NOT NULL, -- of the last audit
    complete_at timestamptz,          -- of the last one that could read everything
    took_ms     bigint NOT NULL,
    unread      text[] NOT NULL,      -- what the last one could not read
    waiting     bigint NOT NULL       -- workflows that are overdue and retry something
);

-- The invariants that are broken: a row as long as one is.
CREATE TABLE audit_findings (
    sale_id   text NOT NULL REFERENCES audits,
    invariant text NOT NULL,
    subject   text NOT NULL, -- the stock or event that it is about, or ''
    since     timestamptz NOT NULL,
    offenders bigint NOT NULL CHECK (offenders > 0),
    PRIMARY KEY (sale_id, invariant, subject)
);

-- Events of the audit tell of no payment.
ALTER TABLE outbox
    ALTER COLUMN order_id DROP NOT NULL,
    ALTER COLUMN payment DROP NOT NULL,
    DROP CONSTRAINT outbox_event_check,
    ADD CONSTRAINT outbox_event_check CHECK (CASE
        WHEN event IN ('order.paid', 'order.refunded', 'payment.refunded') THEN order_id IS NOT NULL AND payment IS NOT NULL
        ELSE event IN ('audit.broken', 'audit.healed') AND order_id IS NULL AND payment IS NULL
    END);
