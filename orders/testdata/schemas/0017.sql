UPDATE orders SET metadata = '{"seat": "12F"}' WHERE id = (left(md5('{sale} paid'), 30) || '00')::uuid;
