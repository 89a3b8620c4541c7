UPDATE orders SET email = '', erased_at = '2026-03-03 12:00Z' WHERE id = (left(md5('{sale} refunded'), 30) || '00')::uuid;
