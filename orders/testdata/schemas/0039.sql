UPDATE sales SET buyers_kept_days = 30 WHERE id = '{sale}-hidden';
