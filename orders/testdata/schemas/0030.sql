-- A checkout that ended without a sale, told once however often it is repeated.
INSERT INTO outbox (event, sale_id, order_id, payload)
SELECT 'checkout.expired', '{sale}', (left(md5('{sale} expired'), 30) || '00')::uuid,
    '{"order": "0000000000000000000000000000aa00", "sale": "{sale}", "amount_minor": 6500, "currency": "EUR"}'::jsonb FROM generate_series(1, 2)
ON CONFLICT (order_id, event) WHERE payment IS NULL AND order_id IS NOT NULL DO NOTHING;
