-- Which databases gave out a queue's join indexes, oldest first, and from which index on
-- each did: a standby that took over without the last joins gives their indexes out again,
-- and a token says of which database it is.
ALTER TABLE queues
    ADD COLUMN epochs      integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN epochs_from bigint[]  NOT NULL DEFAULT '{}',
    ADD CONSTRAINT each_epoch_has_its_first CHECK (cardinality(epochs) = cardinality(epochs_from));

-- Tells this database from what it was before a failover, a restore or a point-in-time
-- recovery: its system identifier and its timeline, which every promotion changes. 1 to
-- 65535; 0 where the server does not tell, as those do not whose storage has no timelines.
CREATE FUNCTION queue_epoch() RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT 1 + (abs(system_identifier % 65535) + ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer) % 65535
            FROM pg_control_system());
EXCEPTION WHEN OTHERS THEN
    RETURN 0;
END
$$;
