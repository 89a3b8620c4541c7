-- What the door of a waiting room goes by: counts of all nodes instead of the word of
-- any, and what is on its way. A node of the release before leaves all of it alone.
ALTER TABLE queues
    ADD COLUMN goal   double precision NOT NULL DEFAULT 0,
    ADD COLUMN coming double precision NOT NULL DEFAULT 0,
    ADD COLUMN due    double precision NOT NULL DEFAULT 0;
ALTER TABLE queue_nodes
    ADD COLUMN load bytea NOT NULL DEFAULT '' CHECK (octet_length(load) <= 4096);
