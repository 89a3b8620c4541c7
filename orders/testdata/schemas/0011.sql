UPDATE queues SET entered = 5, drawn_at = '2026-03-01 12:00Z' WHERE sale_id = '{sale}';
