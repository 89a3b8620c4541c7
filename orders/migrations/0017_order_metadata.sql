-- What whoever ordered noted on the order for systems of their own; NULL: nothing.
ALTER TABLE orders ADD COLUMN metadata jsonb CHECK (jsonb_typeof(metadata) = 'object');
