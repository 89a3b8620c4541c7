INSERT INTO class_codes (sale_id, code, uses, revoked_at) VALUES ('{sale}-hidden', md5('{sale} revoked')::uuid, 3, '2026-03-02 09:00Z') ON CONFLICT DO NOTHING;
