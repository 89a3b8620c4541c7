-- An order that was restored without its address.
INSERT INTO payments (id, order_id, session, amount_minor, currency, bought)
VALUES ('pay_{sale}_restored', (left(md5('{sale} restored'), 30) || '00')::uuid, 'ps_4', 0, 'EUR', 'tickets');
INSERT INTO orders (id, sale_id, status, payment, buyer, email, booking, perk_ledger, paid_at)
VALUES ((left(md5('{sale} restored'), 30) || '00')::uuid, '{sale}-limited', 'paid', 'pay_{sale}_restored', md5('restored')::uuid, '', 'rebook', NULL, '2026-03-01 12:00:02Z');
INSERT INTO order_lines (order_id, class, ledger, quantity, unit_price_minor)
SELECT (left(md5('{sale} restored'), 30) || '00')::uuid, 'A', ledger, 1, 0 FROM sale_stocks WHERE sale_id = '{sale}-limited' AND name = 'A';
INSERT INTO tickets (order_id, number, class, code) VALUES ((left(md5('{sale} restored'), 30) || '00')::uuid, 1, 'A', '{sale}-restored-1');
INSERT INTO outbox (event, sale_id, order_id, payment, payload)
SELECT 'order.paid', '{sale}-limited', o.id, o.payment, jsonb_build_object('order', replace(o.id::text, '-', ''), 'sale', o.sale_id, 'payment', o.payment,
    'amount_minor', 0, 'currency', 'EUR', 'lines', jsonb_build_array(jsonb_build_object('class', 'A', 'ledger', l.ledger, 'quantity', 1, 'unit_price_minor', 0)),
    'booking', 'rebook', 'perk_taken', false, 'paid_at', o.paid_at)
FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.payment = 'pay_{sale}_restored';
