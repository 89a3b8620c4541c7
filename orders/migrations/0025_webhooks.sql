-- Who is told of events by HTTP, see docs/webhooks.md.
CREATE TABLE webhook_endpoints (
    id              text PRIMARY KEY CHECK (id ~ '^whe_[A-Z2-7]{26}$'),
    url             text NOT NULL CHECK (length(url) <= 2000),
    description     text NOT NULL DEFAULT '',
    sale_id         text REFERENCES sales, -- NULL: of all sales
    types           text[] NOT NULL,       -- none: all
    secret          bytea NOT NULL,        -- sealed, as is the one before it
    previous_secret bytea,
    previous_until  timestamptz,           -- until then both sign
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at     timestamptz,
    disabled_why    text NOT NULL DEFAULT '',
    -- How it takes what it is sent: failures in a row, since when, and until when it is left alone.
    failures        integer NOT NULL DEFAULT 0,
    failing_since   timestamptz,
    paused_until    timestamptz
);

-- An event that an endpoint is to be sent, or was. The row is what makes an event that is read
-- again no second delivery.
CREATE TABLE webhook_deliveries (
    endpoint       text NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    event_row      bigint NOT NULL, -- outbox.id
    transaction_id xid8 NOT NULL,   -- that of the outbox
    event          text NOT NULL,   -- evt_…
    type           text NOT NULL,
    subject        text NOT NULL,
    state          text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'given_up')),
    attempts       integer NOT NULL DEFAULT 0, -- since it was queued last
    due_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    queued_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at    timestamptz,
    log            jsonb NOT NULL DEFAULT '[]', -- the last attempts
    PRIMARY KEY (endpoint, event_row)
) WITH (fillfactor = 70);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (endpoint, subject COLLATE "C", event_row) WHERE state = 'pending';
-- What is pending keeps its event in the log.
CREATE INDEX webhook_deliveries_events ON webhook_deliveries (transaction_id, event_row) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_finished ON webhook_deliveries (endpoint, finished_at) WHERE state <> 'pending';
