-- What a sale says of itself, for people. It may change while the sale runs, and every
-- change makes another version.
ALTER TABLE sales
    ADD COLUMN version    bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    ADD COLUMN facts      jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(facts) = 'object'),
    -- What could be changed, as it was created, so that a repeated creation is known. NULL:
    -- it was never changed.
    ADD COLUMN created_as jsonb;

-- What people call a class; its name stays its id.
ALTER TABLE sale_stocks ADD COLUMN label text NOT NULL DEFAULT '' CHECK (octet_length(label) <= 100);
