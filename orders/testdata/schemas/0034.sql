INSERT INTO capacity_changes (id, sale_id, ledger, capacity_before, capacity_after, outcome, asked_at)
SELECT decode(md5('{sale}'), 'hex'), sale_id, ledger, 100, 120, 'open', '2026-03-05 12:00Z' FROM sale_stocks WHERE sale_id = '{sale}-stripe' AND kind = 'class';
UPDATE capacity_changes SET outcome = 'changed', settled_at = '2026-03-05 12:00:01Z' WHERE id = decode(md5('{sale}'), 'hex') AND settled_at IS NULL;
UPDATE sale_stocks SET capacity = 120, opened_with = 100 WHERE sale_id = '{sale}-stripe' AND kind = 'class';
