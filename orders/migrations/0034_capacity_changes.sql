-- Organisers' changes of the capacity of a class. A row stands before the ledger is asked, so
-- that whoever finds it open can finish it; capacity of sale_stocks follows with its outcome.
-- opened_with is what the ledger's fund and accounts name: it never changes. NULL: capacity.
ALTER TABLE sale_stocks ADD COLUMN opened_with bigint CHECK (opened_with BETWEEN 1 AND 100000000);

CREATE TABLE capacity_changes (
    id              bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    sale_id         text NOT NULL REFERENCES sales,
    ledger          bigint NOT NULL REFERENCES sale_stocks,
    capacity_before bigint NOT NULL CHECK (capacity_before BETWEEN 0 AND 100000000),
    capacity_after  bigint NOT NULL CHECK (capacity_after BETWEEN 1 AND 100000000),
    outcome         text NOT NULL CHECK (outcome IN ('open', 'changed', 'refused', 'reused')),
    asked_at        timestamptz NOT NULL,
    settled_at      timestamptz,
    CONSTRAINT outcome_tells_the_time CHECK ((outcome = 'open') = (settled_at IS NULL))
);
CREATE INDEX capacity_changes_of_sale ON capacity_changes (sale_id);
-- One at a time: each is counted from what the one before left.
CREATE UNIQUE INDEX capacity_changes_open ON capacity_changes (ledger) WHERE settled_at IS NULL;
