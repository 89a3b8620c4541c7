INSERT INTO sales (id, name, currency, buyer_limit, hold_seconds, waiting_room, created_at, funded_at)
VALUES ('{sale}-hidden', 'Gophercon', 'EUR', 6, 300, false, '2026-03-01 11:00Z', '2026-03-01 11:00:01Z');
INSERT INTO sale_stocks (sale_id, kind, position, name, price_minor, capacity, hidden) VALUES
    ('{sale}-hidden', 'class', 0, 'A', 6500, 100, true), ('{sale}-hidden', 'quota', 0, 'quota', NULL, NULL, false),
    ('{sale}-hidden', 'codes', 0, 'codes', NULL, NULL, false);
INSERT INTO class_codes (sale_id, code, uses) VALUES ('{sale}-hidden', md5('{sale}')::uuid, 2) ON CONFLICT DO NOTHING;
UPDATE orders SET code = md5('{sale}')::uuid WHERE id = (left(md5('{sale} restored'), 30) || '00')::uuid;
