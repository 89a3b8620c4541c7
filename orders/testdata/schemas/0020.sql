UPDATE queues SET entries_to = 8 WHERE sale_id = '{sale}';
