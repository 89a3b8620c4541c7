-- A class that is hidden is seen and sold only with a code. The ledger counts how often a code may
-- be used: a sale with a hidden class has a stock for its codes. Codes themselves are kept
-- nowhere; an order has the keyed hash of the one that it used, which is its account in the ledger.
-- class_codes has what each code was made with: a ledger that was lost is given it again.
-- A node of the release before would sell a hidden class to anybody: create such a sale once all
-- nodes run this release.
ALTER TABLE sale_stocks
    DROP CONSTRAINT sale_stocks_kind_check,
    DROP CONSTRAINT only_limits_have_no_capacity,
    ADD COLUMN hidden boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT sale_stocks_kind_check CHECK (kind IN ('class', 'perk', 'quota', 'checkouts', 'codes')),
    ADD CONSTRAINT only_limits_have_no_capacity CHECK ((kind IN ('quota', 'checkouts', 'codes')) = (capacity IS NULL)),
    ADD CONSTRAINT only_classes_are_hidden CHECK (kind = 'class' OR NOT hidden);
ALTER TABLE orders ADD COLUMN code uuid; -- NULL: it used none
CREATE TABLE class_codes (
    sale_id     text NOT NULL REFERENCES sales,
    code        uuid NOT NULL,
    only_ledger bigint REFERENCES sale_stocks, -- of the one class that it opens; NULL: all hidden ones
    uses        integer NOT NULL CHECK (uses BETWEEN 1 AND 10000),
    made_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sale_id, code)
);
