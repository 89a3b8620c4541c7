-- A reader that has come to the log's end and set an event aside.
INSERT INTO event_cursors (reader, shard, transaction_id, id)
SELECT 'at-{version}', shard, pg_current_xact_id(), 0 FROM generate_series(0, 7) shard ON CONFLICT DO NOTHING;
INSERT INTO event_nodes (node, readers, seen_until) VALUES ('{sale}', '{at-{version}}', '2026-03-01 12:00Z')
ON CONFLICT (node) DO UPDATE SET seen_until = excluded.seen_until;
INSERT INTO events_set_aside (reader, shard, transaction_id, id, subject, event, error, tries)
SELECT 'at-{version}', 0, transaction_id, id, order_id::text, 'evt_1', 'refused', 3 FROM outbox WHERE payment = 'pay_{sale}_paid' AND event = 'order.paid';
INSERT INTO event_tasks (task, holder, lease, leased_until) VALUES ('{sale}', 'before', 1, '2026-03-01 12:00Z')
ON CONFLICT (task) DO UPDATE SET lease = event_tasks.lease + 1;
