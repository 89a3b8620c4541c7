-- Where the workflows of a sale run: the name of a cell, a Temporal namespace. It is chosen when the sale is created and never
-- changes. Empty: the default cell, where those of all earlier sales are.
ALTER TABLE sales ADD COLUMN cell text NOT NULL DEFAULT '' CHECK (cell ~ '^([a-z0-9][a-z0-9-]{0,31})?$');
