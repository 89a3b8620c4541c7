-- The view of sales for those who look: what a reader of the event log adds up (see
-- domain/figures.go), so that nobody who looks asks the tables that are sold from.
CREATE TABLE sale_figures (
    sale_id      text NOT NULL, -- '': of no sale that is known
    figure       text NOT NULL CHECK (figure ~ '^[a-z_]{1,32}$'),
    minute       integer NOT NULL, -- since 1970; 0: not by time
    about        text NOT NULL,    -- a class, or the reason of a refund
    currency     text NOT NULL,
    n            bigint NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (sale_id, figure, minute, about, currency)
) WITH (fillfactor = 70);

-- What is in it of the events that the log has no more: where a replay begins.
CREATE TABLE sale_figures_dropped (LIKE sale_figures INCLUDING ALL);

-- Which events of the log are in it, by their row: one that is read again adds nothing.
CREATE TABLE sale_figures_events (event_row bigint PRIMARY KEY);

-- What is on record and the log never had, or has no more.
INSERT INTO sale_figures_dropped (sale_id, figure, minute, about, currency, n, amount_minor)
SELECT coalesce(sale_id, ''), figure, minute, about, currency, sum(n), sum(amount_minor) FROM (
    SELECT o.sale_id, 'sold' AS figure, floor(extract(epoch FROM o.paid_at) / 60)::integer AS minute, l.class AS about, p.currency,
           l.quantity AS n, l.quantity * l.unit_price_minor AS amount_minor
    FROM orders o JOIN payments p ON p.id = o.payment JOIN order_lines l ON l.order_id = o.id
    WHERE NOT EXISTS (SELECT FROM outbox e WHERE e.event = 'order.paid' AND e.payment = o.payment)
    UNION ALL
    SELECT o.sale_id, 'paid', 0, '', p.currency, 1, p.amount_minor
    FROM orders o JOIN payments p ON p.id = o.payment
    WHERE NOT EXISTS (SELECT FROM outbox e WHERE e.event = 'order.paid' AND e.payment = o.payment)
    UNION ALL
    SELECT r.sale_id, 'voided', 0, l.class, p.currency, l.quantity, l.quantity * l.unit_price_minor
    FROM refunds r JOIN payments p ON p.id = r.payment JOIN order_lines l ON l.order_id = r.order_id
    WHERE r.bought = 'tickets'
      AND NOT EXISTS (SELECT FROM outbox e WHERE e.event = 'order.refund_begun' AND e.payment = r.payment AND e.payload ? 'lines')
    UNION ALL
    SELECT r.sale_id, 'refund_begun', 0, r.reason, p.currency, 1, p.amount_minor
    FROM refunds r JOIN payments p ON p.id = r.payment
    WHERE r.bought = 'tickets' AND NOT EXISTS (SELECT FROM outbox e WHERE e.event = 'order.refund_begun' AND e.payment = r.payment)
    UNION ALL
    SELECT r.sale_id, 'refunded', 0, r.reason, p.currency, 1, p.amount_minor
    FROM refunds r JOIN payments p ON p.id = r.payment
    WHERE r.bought = 'tickets' AND r.refunded_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM outbox e WHERE e.event = 'order.refunded' AND e.payment = r.payment)
    UNION ALL
    SELECT r.sale_id, 'payment_refunded', 0, r.reason, p.currency, 1, p.amount_minor
    FROM refunds r JOIN payments p ON p.id = r.payment
    WHERE r.bought = 'nothing' AND r.refunded_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM outbox e WHERE e.event = 'payment.refunded' AND e.payment = r.payment)
) missing
GROUP BY coalesce(sale_id, ''), figure, minute, about, currency;
INSERT INTO sale_figures SELECT * FROM sale_figures_dropped;
