INSERT INTO sales (id, name, currency, buyer_limit, hold_seconds, waiting_room, created_at, funded_at, cell)
VALUES ('{sale}-elsewhere', 'Gophercon', 'EUR', 6, 300, false, '2026-03-01 11:00Z', '2026-03-01 11:00:01Z', 'north');
INSERT INTO sale_stocks (sale_id, kind, position, name, price_minor, capacity) VALUES
    ('{sale}-elsewhere', 'class', 0, 'A', 6500, 100), ('{sale}-elsewhere', 'quota', 0, 'quota', NULL, NULL);
