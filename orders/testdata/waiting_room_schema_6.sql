-- Two waiting rooms as the release with schema 6 left them: its own code wrote these rows and gave out the
-- tokens in waiting_room_schema_6.json, with a server key of zeros. One is open and paused, seven are let in;
-- the other opens later.
INSERT INTO sales (id, name, currency, buyer_limit, hold_seconds, waiting_room, opens_at, created_at, funded_at) VALUES
    ('running', 'Gophercon', 'EUR', '6', '300', 'true', '2026-11-30 09:22:52.795862+00', '2026-03-01 11:00:00.123456+00', '2026-11-30 09:22:50.798548+00'),
    ('announced', 'Gophercon', 'EUR', '6', '300', 'true', '2026-11-30 10:22:50.79878+00', '2026-03-01 11:00:00.123456+00', '2026-11-30 09:22:50.799839+00');
INSERT INTO sale_stocks (ledger, sale_id, kind, position, name, price_minor, capacity) VALUES
    ('1', 'running', 'class', '0', 'A', '6500', '100'),
    ('2', 'running', 'class', '1', 'B', '3500', '200'),
    ('3', 'running', 'perk', '0', 'T-shirt', NULL, '10'),
    ('4', 'running', 'quota', '0', 'quota', NULL, NULL),
    ('5', 'announced', 'class', '0', 'A', '6500', '100'),
    ('6', 'announced', 'class', '1', 'B', '3500', '200'),
    ('7', 'announced', 'perk', '0', 'T-shirt', NULL, '10'),
    ('8', 'announced', 'quota', '0', 'quota', NULL, NULL);
INSERT INTO queues (sale_id, seed, rate_floor, rate_ceiling, paused, joined, drawn, admitted, rate, credit, moved_at, cut_at) VALUES
    ('announced', E'\\x8383f3c6fee7499b925e4a370d0b5446c141ad1a0e214a5cb3ecf66b177f59cd', '1', '200', 'false', '10', '-1', '0', '0', '0', '2026-11-30 09:22:52.20148+00', NULL),
    ('running', E'\\x4f257a44926141b69a2e8dbcaa5ac144de7b2983a4cf4bb7afed0b9c7a33181c', '1', '5', 'true', '18', '12', '7', '1.0700017700000006', '0', '2026-11-30 09:23:00.001545+00', NULL);
INSERT INTO queue_nodes (sale_id, node, seen_at, base, present, congested) VALUES
    ('running', 'before', '2026-11-30 09:23:00.602143+00', '0', E'\\xffff03', 'false'),
    ('announced', 'before', '2026-11-30 09:23:00.601114+00', '-1', E'\\x', 'false');
