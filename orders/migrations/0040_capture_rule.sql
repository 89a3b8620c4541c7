-- When the money of a sale is taken: the moment the buyer pays, or once the seats are sold.
ALTER TABLE sales ADD COLUMN capture text NOT NULL DEFAULT 'automatic' CHECK (capture IN ('automatic', 'after_seats'));
