INSERT INTO acts (who, act, path, source, request_id, status) VALUES ('ann', 'PATCH', '/v1/sales/{sale}', '192.0.2.0/24', 'r1', NULL);
