-- An endpoint, one delivery to it that is done and one that waits.
INSERT INTO webhook_endpoints (id, url, sale_id, types, secret) VALUES ('whe_{base32}', 'https://example.com/{sale}', '{sale}', '{order.paid}', '\x01');
INSERT INTO webhook_deliveries (endpoint, event_row, transaction_id, event, type, subject)
SELECT 'whe_{base32}', id, transaction_id, 'evt_' || id, event, order_id::text FROM outbox WHERE sale_id = '{sale}' AND event = 'order.paid';
UPDATE webhook_deliveries SET state = 'delivered', attempts = 1, finished_at = '2026-03-01 12:00:09Z'
WHERE endpoint = 'whe_{base32}' AND event_row = (SELECT id FROM outbox WHERE event = 'order.paid' AND payment = 'pay_{sale}_paid');
