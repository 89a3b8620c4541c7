-- Which addresses are one buyer's (domain.AliasRule). Sales that exist keep theirs: every
-- address is a buyer of its own.
ALTER TABLE sales ADD COLUMN alias_rule smallint NOT NULL DEFAULT 0 CHECK (alias_rule >= 0);
