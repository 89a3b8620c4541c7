-- Challenges of the human check that were used, on whatever node, until they have expired.
CREATE TABLE spent_challenges (
    nonce bytea PRIMARY KEY CHECK (octet_length(nonce) BETWEEN 1 AND 64),
    until timestamptz NOT NULL
);
CREATE INDEX spent_challenges_until ON spent_challenges (until);
