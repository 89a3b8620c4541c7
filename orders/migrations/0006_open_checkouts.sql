-- A sale in which a buyer has at most one open checkout has a stock for them: the
-- ledger that counts them, one a buyer. That it has one is the setting. A node of
-- the release before reads past it and would not limit them: create such a sale
-- once all nodes run this release.
ALTER TABLE sale_stocks
    DROP CONSTRAINT sale_stocks_kind_check,
    DROP CONSTRAINT only_quotas_have_no_capacity,
    ADD CONSTRAINT sale_stocks_kind_check CHECK (kind IN ('class', 'perk', 'quota', 'checkouts')),
    ADD CONSTRAINT only_limits_have_no_capacity CHECK ((kind IN ('quota', 'checkouts')) = (capacity IS NULL));
