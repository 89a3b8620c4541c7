-- A code for hidden classes can be revoked. The ledger decides; a ledger that was lost is told again from here.
ALTER TABLE class_codes ADD COLUMN revoked_at timestamptz; -- NULL: it is valid
