-- How far each reader of the event log has come: a row a part of its work (domain.EventShards).
CREATE TABLE event_cursors (
    reader         text NOT NULL CHECK (reader ~ '^[a-z][a-z0-9-]{0,31}$'),
    shard          smallint NOT NULL,
    transaction_id xid8 NOT NULL, -- everything up to here is done, or in events_set_aside
    id             bigint NOT NULL,
    tries          integer NOT NULL DEFAULT 0, -- of the event behind the cursor, that is refused
    error          text NOT NULL DEFAULT '',   -- why it does not go on; '': it does
    -- Who works on it, until when, and how often that changed: only the holder of the
    -- present lease may move the cursor.
    holder         text,
    lease          bigint NOT NULL DEFAULT 0,
    leased_until   timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (reader, shard)
) WITH (fillfactor = 50);

-- Who could work: the readers' parts are split evenly among these.
CREATE TABLE event_nodes (
    node       text PRIMARY KEY,
    readers    text[] NOT NULL,
    seen_until timestamptz NOT NULL
);

-- Events that a reader passed over because they failed by themselves, and those of the
-- same subject that wait behind them.
CREATE TABLE events_set_aside (
    reader         text NOT NULL,
    shard          smallint NOT NULL,
    transaction_id xid8 NOT NULL,
    id             bigint NOT NULL,
    subject        text NOT NULL,
    event          text NOT NULL,
    error          text NOT NULL, -- of the last try; '' for one that only waits behind another
    tries          integer NOT NULL,
    since          timestamptz NOT NULL DEFAULT now(),
    retry_at       timestamptz, -- NULL: on request
    PRIMARY KEY (reader, shard, transaction_id, id),
    FOREIGN KEY (reader, shard) REFERENCES event_cursors ON DELETE CASCADE
);

-- What one node at a time does for all, such as asking the ledger which sales are sold out.
CREATE TABLE event_tasks (
    task         text PRIMARY KEY,
    holder       text NOT NULL,
    lease        bigint NOT NULL,
    leased_until timestamptz NOT NULL
);
