INSERT INTO sales (id, name, currency, buyer_limit, hold_seconds, waiting_room, opens_at, created_at, funded_at, alias_rule)
VALUES ('{sale}-folding', 'Gophercon', 'EUR', 6, 300, true, NULL, '2026-03-01 11:00Z', '2026-03-01 11:00:01Z', 1);
INSERT INTO sale_stocks (sale_id, kind, position, name, price_minor, capacity) VALUES
    ('{sale}-folding', 'class', 0, 'A', 6500, 100), ('{sale}-folding', 'quota', 0, 'quota', NULL, NULL);
