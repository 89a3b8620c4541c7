-- Waiting rooms: what the nodes share of each, see package waitingroom. Nothing
-- here is about a buyer: tokens carry the places.

CREATE TABLE queues (
    sale_id      text PRIMARY KEY REFERENCES sales,
    -- 244 random bits from the server's strong source (gen_random_uuid).
    seed         bytea NOT NULL DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
                 CHECK (octet_length(seed) = 32),
    rate_floor   double precision NOT NULL CHECK (rate_floor BETWEEN 0.1 AND 10000),
    rate_ceiling double precision NOT NULL CHECK (rate_ceiling BETWEEN 0.1 AND 10000),
    paused       boolean NOT NULL DEFAULT false,
    joined       bigint NOT NULL DEFAULT 0 CHECK (joined >= 0),
    drawn        bigint NOT NULL DEFAULT -1 CHECK (drawn BETWEEN -1 AND joined), -- -1: the sale has not opened
    admitted     bigint NOT NULL DEFAULT 0 CHECK (admitted BETWEEN 0 AND joined),
    rate         double precision NOT NULL DEFAULT 0,
    credit       double precision NOT NULL DEFAULT 0,
    moved_at     timestamptz NOT NULL DEFAULT now(),
    cut_at       timestamptz,
    CONSTRAINT floor_below_ceiling CHECK (rate_floor <= rate_ceiling),
    CONSTRAINT shut_before_the_draw CHECK (drawn >= 0 OR admitted = 0)
) WITH (fillfactor = 50); -- updated ten times a second: room for HOT updates

-- What each node says of itself, every 100 ms while anybody queues there. Rows
-- of nodes that stopped are removed by the others.
CREATE TABLE queue_nodes (
    sale_id   text NOT NULL REFERENCES queues,
    node      text NOT NULL CHECK (octet_length(node) BETWEEN 1 AND 255),
    seen_at   timestamptz NOT NULL,
    base      bigint NOT NULL,
    present   bytea NOT NULL CHECK (octet_length(present) <= 4096),
    congested boolean NOT NULL,
    PRIMARY KEY (sale_id, node)
) WITH (fillfactor = 50);
