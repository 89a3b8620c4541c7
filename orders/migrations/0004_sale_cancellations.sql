-- An organiser's cancellation of a whole sale: that it was asked for, for ever,
-- and how far it has come. Sales themselves never change.
CREATE TABLE sale_cancellations (
    sale_id      text PRIMARY KEY REFERENCES sales,
    requested_at timestamptz NOT NULL,
    finished_at  timestamptz, -- when nothing was held, sold or owed any more
    progress     jsonb NOT NULL -- as of the last look
);
