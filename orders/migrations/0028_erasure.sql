-- When what was known of an order's buyer was erased: see docs/privacy.md. NULL: it was not.
ALTER TABLE orders ADD COLUMN erased_at timestamptz;
