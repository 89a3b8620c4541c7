UPDATE queues SET epochs = '{3,4}', epochs_from = '{0,9}' WHERE sale_id = '{sale}';
