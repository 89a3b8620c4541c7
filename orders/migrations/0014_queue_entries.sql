-- Who was let in, and when: two bytes a place, in chunks of 512 (domain.QueueStamp). Who was
-- away when the door passed has none, and is let in by turns with those at the door.
CREATE TABLE queue_entries (
    sale_id text   NOT NULL REFERENCES queues,
    chunk   bigint NOT NULL CHECK (chunk >= 0),
    stamps  bytea  NOT NULL CHECK (octet_length(stamps) = 1024),
    PRIMARY KEY (sale_id, chunk)
) WITH (fillfactor = 50); -- a chunk is updated with each turn while the door passes it
ALTER TABLE queue_entries ALTER COLUMN stamps SET STORAGE PLAIN;

-- Places below were let in before entries were kept: they stay in. Nodes of the release
-- before go on letting in without: who comes by them is late to those of this one.
ALTER TABLE queues ADD COLUMN entered_before bigint NOT NULL DEFAULT 0;
UPDATE queues SET entered_before = admitted;

-- Writes a stamp for places of a chunk, under the lock of the queue's row.
CREATE FUNCTION queue_enter(sale text, of_chunk bigint, nths integer[], stamp integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    all_stamps bytea;
    nth integer;
BEGIN
    SELECT stamps INTO all_stamps FROM queue_entries WHERE sale_id = sale AND chunk = of_chunk;
    all_stamps := coalesce(all_stamps, decode(repeat('00', 1024), 'hex'));
    FOREACH nth IN ARRAY nths LOOP
        all_stamps := set_byte(set_byte(all_stamps, 2 * nth, stamp / 256), 2 * nth + 1, stamp % 256);
    END LOOP;
    INSERT INTO queue_entries (sale_id, chunk, stamps) VALUES (sale, of_chunk, all_stamps)
    ON CONFLICT (sale_id, chunk) DO UPDATE SET stamps = excluded.stamps;
END
$$;
