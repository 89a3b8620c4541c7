UPDATE tickets SET holder = 'Ann', holder_changes = 1 WHERE order_id = (left(md5('{sale} paid'), 30) || '00')::uuid AND number = 1;
