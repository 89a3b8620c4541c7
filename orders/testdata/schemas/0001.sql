-- A sale, its stocks, and an order in each state: paid, refunding, refunded; a payment that bought
-- nothing and is back, one that is owed, and one of an order that nobody knows.
INSERT INTO sales (id, name, currency, buyer_limit, hold_seconds, waiting_room, opens_at, created_at, funded_at)
VALUES ('{sale}', 'Gophercon', 'EUR', 6, 300, true, '2026-03-01 12:00Z', '2026-03-01 11:00Z', '2026-03-01 11:00:01Z');
INSERT INTO sale_stocks (sale_id, kind, position, name, price_minor, capacity) VALUES
    ('{sale}', 'class', 0, 'A', 6500, 100),
    ('{sale}', 'class', 1, 'B', 3500, 200),
    ('{sale}', 'perk', 0, 'T-shirt', NULL, 10),
    ('{sale}', 'quota', 0, 'quota', NULL, NULL);
CREATE TEMPORARY TABLE sold AS
    SELECT state, (left(md5('{sale} ' || state), 30) || '00')::uuid AS id, 'pay_{sale}_' || state AS payment,
           (SELECT ledger FROM sale_stocks WHERE sale_id = '{sale}' AND name = 'A') AS a,
           (SELECT ledger FROM sale_stocks WHERE sale_id = '{sale}' AND name = 'B') AS b,
           (SELECT ledger FROM sale_stocks WHERE sale_id = '{sale}' AND kind = 'perk') AS perk
    FROM unnest('{paid,refunding,refunded}'::text[]) state;
INSERT INTO payments (id, order_id, session, amount_minor, currency, captured_at, bought)
SELECT payment, id, 'ps_' || state, 16500, 'EUR', '2026-03-01 12:00:01Z', 'tickets' FROM sold;
INSERT INTO orders (id, sale_id, status, payment, buyer, email, booking, perk_ledger, paid_at)
SELECT id, '{sale}', 'paid', payment, md5(state)::uuid, state || '@example.com', 'hold', perk, '2026-03-01 12:00:02Z' FROM sold;
INSERT INTO order_lines (order_id, class, ledger, quantity, unit_price_minor)
SELECT id, 'A', a, 2, 6500 FROM sold UNION ALL SELECT id, 'B', b, 1, 3500 FROM sold;
INSERT INTO tickets (order_id, number, class, code)
SELECT id, n, CASE WHEN n < 3 THEN 'A' ELSE 'B' END, '{sale}-' || state || '-' || n FROM sold, generate_series(1, 3) n;
INSERT INTO outbox (event, sale_id, order_id, payment, payload)
SELECT 'order.paid', '{sale}', id, payment, jsonb_build_object('order', replace(id::text, '-', ''), 'sale', '{sale}',
    'payment', payment, 'amount_minor', 16500, 'currency', 'EUR', 'lines', jsonb_build_array(
        jsonb_build_object('class', 'A', 'ledger', a, 'quantity', 2, 'unit_price_minor', 6500),
        jsonb_build_object('class', 'B', 'ledger', b, 'quantity', 1, 'unit_price_minor', 3500)),
    'booking', 'hold', 'perk_taken', true, 'paid_at', '2026-03-01T12:00:02Z'::timestamptz) FROM sold;

WITH refunding AS (
    UPDATE orders SET status = 'refunding', refunding_at = '2026-03-01 12:05Z'
    WHERE sale_id = '{sale}' AND status = 'paid' AND id IN (SELECT id FROM sold WHERE state <> 'paid')
    RETURNING id, payment, bought, sale_id
)
INSERT INTO refunds (payment, order_id, bought, sale_id, reason, requested_at)
SELECT payment, id, bought, sale_id, 'organiser', '2026-03-01 12:05Z' FROM refunding;
DROP TABLE sold;
INSERT INTO payments (id, order_id, session, amount_minor, currency, captured_at, bought) VALUES
    ('pay_{sale}_none_left', (left(md5('{sale} none_left'), 30) || '00')::uuid, 'ps_1', 6500, 'EUR', '2026-03-01 12:01Z', 'nothing'),
    ('pay_{sale}_owed', (left(md5('{sale} paid'), 30) || '00')::uuid, 'ps_2', 16500, 'EUR', NULL, 'nothing'),
    ('pay_{sale}_unknown', (left(md5('{sale} unknown'), 30) || '00')::uuid, 'ps_3', 100, 'EUR', '2026-03-01 12:01Z', 'nothing');
INSERT INTO refunds (payment, order_id, bought, sale_id, reason, requested_at) VALUES
    ('pay_{sale}_none_left', (left(md5('{sale} none_left'), 30) || '00')::uuid, 'nothing', '{sale}', 'none_left', '2026-03-01 12:02Z'),
    ('pay_{sale}_owed', (left(md5('{sale} paid'), 30) || '00')::uuid, 'nothing', '{sale}', 'second_capture', '2026-03-01 12:03Z'),
    ('pay_{sale}_unknown', (left(md5('{sale} unknown'), 30) || '00')::uuid, 'nothing', NULL, 'unknown_order', '2026-03-01 12:04Z');
WITH refunded AS (
    UPDATE refunds SET refunded_at = '2026-03-01 12:10Z'
    WHERE payment IN ('pay_{sale}_refunded', 'pay_{sale}_none_left') AND refunded_at IS NULL
    RETURNING *
), returned AS (
    UPDATE orders SET status = 'refunded', refunded_at = '2026-03-01 12:10Z'
    FROM refunded WHERE orders.id = refunded.order_id AND refunded.bought = 'tickets'
)
INSERT INTO outbox (event, sale_id, order_id, payment, payload)
SELECT CASE r.bought WHEN 'tickets' THEN 'order.refunded' ELSE 'payment.refunded' END, r.sale_id, r.order_id, r.payment,
    jsonb_build_object('order', replace(r.order_id::text, '-', ''), 'sale', r.sale_id, 'payment', r.payment,
        'amount_minor', p.amount_minor, 'currency', p.currency, 'reason', r.reason, 'refunded_at', r.refunded_at)
FROM refunded r JOIN payments p ON p.id = r.payment;
