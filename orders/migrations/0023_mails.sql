-- Mails to buyers: those that are due, those that a relay took, so that no repeat sends one
-- again, and those that none takes. A row of an order stays as long as the order. What a mail
-- says and whom it goes to is read from the order when it is sent; an address stands here only
-- where somebody asked for their orders, until that is settled.
CREATE TABLE mails (
    id         text PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 128),
    kind       text NOT NULL CHECK (kind ~ '^[a-z_]{1,32}$'),
    order_id   uuid, -- NULL: it was asked for by address
    asked_by   text CHECK (octet_length(asked_by) BETWEEN 3 AND 254),
    languages  text CHECK (octet_length(languages) BETWEEN 1 AND 200),
    state      text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'needless', 'set_aside')),
    reason     text CHECK (octet_length(reason) <= 1000),
    attempts   integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_at     timestamptz NOT NULL DEFAULT now(),
    queued_at  timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    CONSTRAINT settled_when_it_is CHECK ((state = 'due') = (settled_at IS NULL)),
    CONSTRAINT only_asked_mails_have_an_address CHECK (order_id IS NULL OR asked_by IS NULL)
);
CREATE INDEX mails_due ON mails (due_at) WHERE state = 'due';
CREATE INDEX mails_set_aside ON mails (id text_pattern_ops) WHERE state = 'set_aside';
CREATE INDEX mails_asked ON mails (queued_at) WHERE order_id IS NULL;
