-- Who is let in hears of it a moment later: until then nobody behind them may take the last
-- seats. A node of the release before lets people in without counting them.
ALTER TABLE queues
    ADD COLUMN entered  bigint NOT NULL DEFAULT 0,
    ADD COLUMN drawn_at timestamptz;
