-- A sale that an organiser cancels.
INSERT INTO sale_cancellations (sale_id, requested_at, progress) VALUES ('{sale}', '2026-03-02 09:00Z', '{"sale": "{sale}", "requested_at": "2026-03-02T09:00:00Z", "stage": "checkouts", "open_checkouts": 3}') ON CONFLICT (sale_id) DO NOTHING;
