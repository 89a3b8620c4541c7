UPDATE sales SET version = version + 1, facts = '{"venue": {"name": "Hall 1"}}', created_as = '{}' WHERE id = '{sale}-stripe';
UPDATE sale_stocks SET label = 'Front rows' WHERE sale_id = '{sale}-stripe' AND name = 'A';
