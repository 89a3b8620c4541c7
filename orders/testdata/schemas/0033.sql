UPDATE sales SET closes_at = '2026-04-01 12:00Z', ended_at = '2026-03-20 12:00Z' WHERE id = '{sale}-stripe';
UPDATE sale_stocks SET opens_at = '2026-03-01 12:00Z', closes_at = '2026-03-10 12:00Z', max_per_order = 2 WHERE sale_id = '{sale}-stripe' AND kind = 'class';
