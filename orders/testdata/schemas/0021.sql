-- Refunds are told when they begin, and so is a sale.
INSERT INTO outbox (event, sale_id, order_id, payment, payload)
SELECT 'order.refund_begun', r.sale_id, r.order_id, r.payment, jsonb_build_object('order', replace(r.order_id::text, '-', ''), 'sale', r.sale_id,
    'payment', r.payment, 'amount_minor', p.amount_minor, 'currency', p.currency, 'reason', r.reason, 'requested_at', r.requested_at,
    'lines', (SELECT jsonb_agg(jsonb_build_object('class', l.class, 'ledger', l.ledger, 'quantity', l.quantity,
                                                  'unit_price_minor', l.unit_price_minor) ORDER BY l.class COLLATE "C")
              FROM order_lines l WHERE l.order_id = r.order_id))
FROM refunds r JOIN payments p ON p.id = r.payment WHERE r.sale_id = '{sale}' AND r.bought = 'tickets';
INSERT INTO outbox (event, sale_id, payload) VALUES ('sale.opened', '{sale}', '{}');
INSERT INTO sale_states (sale_id, sold_out) VALUES ('{sale}', false);
