-- A queue whose list of joins was closed and drawn.
WITH made AS (
    INSERT INTO queues (sale_id, rate_floor, rate_ceiling, draw_version) VALUES ('{sale}-presale', 1, 200, 2) ON CONFLICT DO NOTHING RETURNING sale_id)
INSERT INTO queue_draws (sale_id) SELECT sale_id FROM made;
INSERT INTO queue_joins (sale_id, first, joins, joined_at, epoch) VALUES ('{sale}-presale', 0, 2, '2026-03-01 11:59Z', 0);
UPDATE queues SET joined = 2, drawn = 2, secret = seed, drawn_at = '2026-03-01 12:00Z' WHERE sale_id = '{sale}-presale';
UPDATE queue_draws SET source = 'none', closed = 2, closed_at = '2026-03-01 12:00Z', root = decode(md5('a') || md5('b'), 'hex'), root_at = '2026-03-01 12:00Z'
WHERE sale_id = '{sale}-presale';
