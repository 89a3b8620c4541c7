-- A sale with presale codes, one of which took a place.
INSERT INTO sales (id, name, currency, buyer_limit, hold_seconds, waiting_room, created_at, funded_at, presale_codes)
VALUES ('{sale}-presale', 'Gophercon', 'EUR', 6, 300, true, '2026-03-01 11:00Z', '2026-03-01 11:00:01Z', true);
INSERT INTO sale_stocks (sale_id, kind, position, name, price_minor, capacity) VALUES
    ('{sale}-presale', 'class', 0, 'A', 6500, 100), ('{sale}-presale', 'quota', 0, 'quota', NULL, NULL);
INSERT INTO entitlements (sale_id, kind, id, batch, places)
SELECT '{sale}-presale', 'presale_code', decode(md5(n::text), 'hex'), 'fans', 1 FROM generate_series(1, 3) n;
SELECT take_entitled_place('{sale}-presale', 'presale_code', decode(md5('1'), 'hex'), 0, decode(md5('holder'), 'hex'), 0, 0, '2026-03-01 12:00Z');
