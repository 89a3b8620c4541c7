-- How the places of a queue are drawn. 1: by seed and number of joins, as all queues that
-- exist. 2: the list of joins is closed first and its Merkle root published, and what nobody
-- had before goes into the seed: see docs/waiting-room.md. From the draw on seed is what was
-- mixed, and secret what the commitment binds: a node of the release before finds the same
-- places, and the constraint keeps it from making the draw itself.
ALTER TABLE queues
    ADD COLUMN draw_version smallint NOT NULL DEFAULT 1 CHECK (draw_version BETWEEN 1 AND 2),
    ADD COLUMN secret bytea CHECK (octet_length(secret) = 32),
    ADD CONSTRAINT drawn_of_the_list CHECK (draw_version = 1 OR drawn = -1 OR secret IS NOT NULL);

-- One for each queue of version 2. Written under the lock of the queue's row.
CREATE TABLE queue_draws (
    sale_id            text PRIMARY KEY REFERENCES queues,
    source             text NOT NULL DEFAULT '' CHECK (source IN ('', 'none', 'beacon', 'witness')),
    closed             bigint NOT NULL DEFAULT -1,
    closed_at          timestamptz,
    root               bytea CHECK (octet_length(root) = 32),
    root_at            timestamptz,
    beacon_chain       bytea CHECK (octet_length(beacon_chain) = 32),
    beacon_genesis     timestamptz,
    beacon_period      bigint NOT NULL DEFAULT 0, -- seconds
    beacon_named       bigint NOT NULL DEFAULT 0,
    beacon_round       bigint NOT NULL DEFAULT 0,
    beacon_signature   bytea CHECK (octet_length(beacon_signature) = 48),
    witness_commitment bytea CHECK (octet_length(witness_commitment) = 32),
    witness_secret     bytea CHECK (octet_length(witness_secret) = 32),
    waived_at          timestamptz,
    waived_reason      text NOT NULL DEFAULT '' CHECK (octet_length(waived_reason) <= 1000)
);

-- The list: which join indexes were given out at once, and when, before it was closed. Tokens
-- are made of that. A node of the release before leaves gaps.
CREATE TABLE queue_joins (
    sale_id   text NOT NULL REFERENCES queues,
    first     bigint NOT NULL,
    joins     integer NOT NULL CHECK (joins > 0),
    joined_at timestamptz NOT NULL,
    epoch     integer NOT NULL,
    PRIMARY KEY (sale_id, first)
);
