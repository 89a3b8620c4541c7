-- For how many days after its end a sale keeps the data of its buyers. NULL: until they are erased on request.
ALTER TABLE sales ADD COLUMN buyers_kept_days integer CHECK (buyers_kept_days BETWEEN 1 AND 3650);
