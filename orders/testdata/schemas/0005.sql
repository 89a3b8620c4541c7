-- A waiting room that is open, and a node that serves it.
INSERT INTO queues (sale_id, rate_floor, rate_ceiling) SELECT id, 1, 200 FROM sales WHERE id = '{sale}' AND waiting_room ON CONFLICT DO NOTHING;
UPDATE queues SET joined = 18, drawn = 12, admitted = 7, rate = 1.5, credit = 0.5, moved_at = '2026-03-01 12:00Z', cut_at = NULL WHERE sale_id = '{sale}';
INSERT INTO queue_nodes (sale_id, node, seen_at, base, present, congested) VALUES ('{sale}', 'before', '2026-03-01 12:00Z', 0, '\xffff03', false)
ON CONFLICT (sale_id, node) DO UPDATE SET seen_at = excluded.seen_at;
