UPDATE sales SET capture = 'after_seats' WHERE id = '{sale}-hidden';
