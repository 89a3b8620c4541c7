-- Another sale, in which a buyer has one open checkout at most.
INSERT INTO sales (id, name, currency, buyer_limit, hold_seconds, waiting_room, opens_at, created_at, funded_at)
VALUES ('{sale}-limited', 'Gophercon', 'EUR', 6, 300, false, NULL, '2026-03-01 11:00Z', '2026-03-01 11:00:01Z');
INSERT INTO sale_stocks (sale_id, kind, position, name, price_minor, capacity) VALUES
    ('{sale}-limited', 'class', 0, 'A', 6500, 100),
    ('{sale}-limited', 'quota', 0, 'quota', NULL, NULL),
    ('{sale}-limited', 'checkouts', 0, 'open checkouts', NULL, NULL);
