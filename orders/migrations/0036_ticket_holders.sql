-- Who a ticket is for, where the sale asks for it. Only here: no event and no history has names. They go with the buyer's erasure.
ALTER TABLE tickets
    ADD COLUMN holder         text CHECK (octet_length(holder) BETWEEN 1 AND 200), -- NULL: nobody said
    ADD COLUMN holder_changes smallint NOT NULL DEFAULT 0 CHECK (holder_changes >= 0);
