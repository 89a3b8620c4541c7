-- How much longer the seats of a sale are kept while a payment is being processed; null: they are not.
ALTER TABLE sales ADD COLUMN processing_seconds bigint CHECK (processing_seconds BETWEEN 5 AND 2592000);
