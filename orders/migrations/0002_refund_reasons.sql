-- Which reasons there are is decided in one place, domain.RefundReason; here only
-- their form is. A new one needs no migration, and nodes of two releases may write.
ALTER TABLE refunds
    DROP CONSTRAINT refunds_reason_check,
    ADD CONSTRAINT refunds_reason_check CHECK (reason ~ '^[a-z_]{1,32}$');

-- Money that is owed is asked for at every look at the metrics.
CREATE INDEX refunds_owed ON refunds (requested_at) WHERE refunded_at IS NULL;
