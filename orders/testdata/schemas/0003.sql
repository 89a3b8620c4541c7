-- An audit that found something, and its event.
INSERT INTO audits (sale_id, ended_at, complete_at, took_ms, unread, waiting)
VALUES ('{sale}', '2026-03-01 13:00Z', '2026-03-01 13:00Z', 40, '{}', 1)
ON CONFLICT (sale_id) DO UPDATE SET ended_at = excluded.ended_at;
INSERT INTO audit_findings (sale_id, invariant, subject, since, offenders) VALUES ('{sale}', 'I3', 'A', '2026-03-01 13:00Z', 2);
INSERT INTO outbox (event, sale_id, payload) VALUES ('audit.broken', '{sale}', '{"invariant": "I3", "subject": "A", "offenders": 2}');
