-- When a sale and its classes are sold, and how many tickets of a class one order may have.
-- NULL: no bound. Nodes compare these with their clocks; ended_at is the organiser's own end.
ALTER TABLE sales
    ADD COLUMN closes_at timestamptz,
    ADD COLUMN ended_at  timestamptz; -- NULL: not ended, or re-opened
ALTER TABLE sale_stocks
    ADD COLUMN opens_at      timestamptz,
    ADD COLUMN closes_at     timestamptz,
    ADD COLUMN max_per_order integer CHECK (max_per_order BETWEEN 1 AND 100),
    ADD CONSTRAINT only_classes_have_windows CHECK (
        kind = 'class' OR opens_at IS NULL AND closes_at IS NULL AND max_per_order IS NULL);
