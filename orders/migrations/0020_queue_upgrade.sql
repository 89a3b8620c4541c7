-- Up to which place it is kept who was let in. A node of the release before moves the door on
-- without keeping it: the next exchange of a node of this one takes those in whom it passed.
-- Where nobody is kept yet, that also begins where entered_before ended, for nodes of the release
-- before may have let people in since migration 14.
ALTER TABLE queues ADD COLUMN entries_to bigint NOT NULL DEFAULT 0;
UPDATE queues q SET entries_to =
    CASE WHEN EXISTS (SELECT FROM queue_entries e WHERE e.sale_id = q.sale_id) THEN admitted ELSE entered_before END;

-- No release has read or written it.
ALTER TABLE queues DROP COLUMN due;
