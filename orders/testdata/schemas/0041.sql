UPDATE sales SET processing_seconds = 3600 WHERE id = '{sale}-hidden';
