INSERT INTO reversals (id, kind, payment, order_id, sale_id, amount_minor, currency, state, reason, happened_at, respond_by)
VALUES ('dp_{sale}', 'dispute', 'pay_{sale}_paid', (left(md5('{sale} paid'), 30) || '00')::uuid, '{sale}', 16500, 'EUR', 'open', 'fraudulent', '2026-03-04 12:00Z', '2026-03-14 12:00Z');
INSERT INTO outbox (event, sale_id, order_id, payment, payload) SELECT 'payment.disputed', '{sale}', (left(md5('{sale} paid'), 30) || '00')::uuid, 'pay_{sale}_paid', '{}' FROM generate_series(1, 2);
