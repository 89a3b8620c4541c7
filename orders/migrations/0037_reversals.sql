-- Money that goes back, or may, although the box office did not ask for it: disputes, and
-- refunds that somebody made at the provider. Which states there are is decided in
-- domain/reversal.go.
CREATE TABLE reversals (
    id           text PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 255), -- the provider's
    kind         text NOT NULL CHECK (kind IN ('dispute', 'refund')),
    payment      text NOT NULL, -- no foreign key: a record that was lost may be restored later
    order_id     uuid NOT NULL,
    sale_id      text REFERENCES sales, -- NULL: the order is unknown
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency     text NOT NULL,
    state        text NOT NULL CHECK (octet_length(state) BETWEEN 1 AND 20),
    reason       text NOT NULL CHECK (octet_length(reason) <= 64),
    happened_at  timestamptz NOT NULL,
    respond_by   timestamptz,
    changed_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reversals_of_sale ON reversals (sale_id, id);
CREATE INDEX reversals_of_order ON reversals (order_id);
CREATE INDEX disputes_open ON reversals (respond_by) WHERE kind = 'dispute' AND state IN ('inquiry', 'open');

-- A payment has one event of each type, but may be disputed more than once.
CREATE UNIQUE INDEX outbox_of_payments ON outbox (event, payment)
    WHERE event NOT IN ('payment.disputed', 'payment.dispute_closed', 'payment.refunded_elsewhere');
ALTER TABLE outbox DROP CONSTRAINT outbox_event_payment_key;
