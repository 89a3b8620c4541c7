UPDATE queues SET goal = 2, coming = 1 WHERE sale_id = '{sale}';
INSERT INTO queue_nodes (sale_id, node, seen_at, base, present, congested, load) VALUES ('{sale}', 'loaded', '2026-03-01 12:00Z', 0, '', false, '\x01')
ON CONFLICT (sale_id, node) DO UPDATE SET load = excluded.load;
