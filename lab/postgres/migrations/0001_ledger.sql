-- Ids are TigerBeetle's numbers as uuids: the same 128 bits, most significant first.
-- Timestamps are nanoseconds since the epoch. Unsigned numbers of 64 bits are
-- stored as the signed ones with the same bits.

CREATE TABLE accounts (
    id              uuid PRIMARY KEY,
    user_data_128   uuid     NOT NULL,
    user_data_64    bigint   NOT NULL,
    user_data_32    bigint   NOT NULL,
    ledger          bigint   NOT NULL,
    code            integer  NOT NULL,
    flags           integer  NOT NULL,
    timestamp       bigint   NOT NULL,
    debits_pending  bigint   NOT NULL DEFAULT 0 CHECK (debits_pending  >= 0),
    debits_posted   bigint   NOT NULL DEFAULT 0 CHECK (debits_posted   >= 0),
    credits_pending bigint   NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
    credits_posted  bigint   NOT NULL DEFAULT 0 CHECK (credits_posted  >= 0),
    -- Of the newest transfer: the next one's is greater, whatever the clock says.
    last_timestamp  bigint   NOT NULL DEFAULT 0,
    -- The requests check this themselves; here it also binds whoever else writes.
    CONSTRAINT debits_must_not_exceed_credits
        CHECK (flags & 2 = 0 OR debits_pending + debits_posted <= credits_posted),
    CONSTRAINT credits_must_not_exceed_debits
        CHECK (flags & 4 = 0 OR credits_pending + credits_posted <= debits_posted)
)
-- A sale's accounts change with every order: their new versions find room on the
-- same page and need no new index entry (heap-only tuples).
WITH (fillfactor = 50);

CREATE TABLE transfers (
    id                uuid PRIMARY KEY,
    -- 0 posted at once, 1 pending, 2 posted, 3 voided, 4 expired,
    -- 5 refused: no transfer, but its id is burnt for ever.
    state             smallint NOT NULL CHECK (state BETWEEN 0 AND 5),
    -- No foreign keys: accounts are never deleted, and a request has locked both
    -- rows before it writes this one.
    debit_account_id  uuid,
    credit_account_id uuid,
    amount            bigint   NOT NULL DEFAULT 0 CHECK (amount >= 0),
    pending_id        uuid,
    user_data_128     uuid,
    user_data_64      bigint   NOT NULL DEFAULT 0,
    user_data_32      bigint   NOT NULL DEFAULT 0,
    timeout           bigint   NOT NULL DEFAULT 0,
    ledger            bigint   NOT NULL DEFAULT 0,
    code              integer  NOT NULL DEFAULT 0,
    flags             integer  NOT NULL DEFAULT 0,
    timestamp         bigint   NOT NULL,
    expires_at        bigint, -- of a pending transfer with a timeout
    CHECK (state = 5 OR debit_account_id IS NOT NULL AND credit_account_id IS NOT NULL
        AND pending_id IS NOT NULL AND user_data_128 IS NOT NULL)
);

CREATE INDEX transfers_of_debit_account  ON transfers (debit_account_id, timestamp);
CREATE INDEX transfers_of_credit_account ON transfers (credit_account_id, timestamp);
CREATE INDEX transfers_to_expire ON transfers (expires_at) WHERE state = 1 AND expires_at IS NOT NULL;
