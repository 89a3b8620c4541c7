-- Mails: one sent, one due, and one that somebody asked for.
INSERT INTO mails (id, kind, order_id) SELECT * FROM unnest(ARRAY['{sale}/sent', '{sale}/due'], '{tickets,refund_begun}'::text[], ARRAY[(left(md5('{sale} paid'), 30) || '00')::uuid, (left(md5('{sale} refunded'), 30) || '00')::uuid])
ON CONFLICT (id) DO NOTHING;
UPDATE mails SET state = 'sent', settled_at = '2026-03-01 12:00:09Z', attempts = 1 WHERE id = '{sale}/sent';
INSERT INTO mails (id, kind, asked_by, languages) VALUES ('{sale}/asked', 'orders', 'paid@example.com', 'de') ON CONFLICT (id) DO UPDATE SET languages = mails.languages;
