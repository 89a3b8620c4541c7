-- What a sale asks for before a place in its queue counts, and which places were taken with
-- it. Nothing here is a code or about a person: ids are keyed hashes.
ALTER TABLE sales
    ADD COLUMN presale_codes  boolean NOT NULL DEFAULT false,
    ADD COLUMN invitation_key bytea CHECK (octet_length(invitation_key) = 32), -- Ed25519; NULL: no invitations
    ADD CONSTRAINT entitlements_are_for_queues CHECK (waiting_room OR NOT presale_codes AND invitation_key IS NULL);

-- A row stands before a place can be taken with a presale code; of other kinds it comes with
-- the first place, or with the revocation.
CREATE TABLE entitlements (
    sale_id    text NOT NULL REFERENCES sales,
    kind       text NOT NULL CHECK (octet_length(kind) BETWEEN 1 AND 32),
    id         bytea NOT NULL CHECK (octet_length(id) = 16),
    batch      text NOT NULL DEFAULT '' CHECK (octet_length(batch) <= 64),
    places     integer NOT NULL CHECK (places BETWEEN 1 AND 1000),
    taken      integer NOT NULL DEFAULT 0 CHECK (taken BETWEEN 0 AND places),
    made_at    timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    PRIMARY KEY (sale_id, kind, id)
) WITH (fillfactor = 90);

-- A holder is whoever joined with one key: asking again they find the same place.
CREATE TABLE entitled_places (
    sale_id    text NOT NULL,
    kind       text NOT NULL,
    id         bytea NOT NULL,
    holder     bytea NOT NULL CHECK (octet_length(holder) = 16),
    join_index bigint NOT NULL CHECK (join_index >= 0),
    epoch      integer NOT NULL,
    joined_at  timestamptz NOT NULL,
    PRIMARY KEY (sale_id, kind, id, holder),
    FOREIGN KEY (sale_id, kind, id) REFERENCES entitlements
);

-- Takes a place with an entitlement, once a holder and as often as it is good for. new_places
-- of 0: the entitlement must be there. The row's lock makes two of them wait for each other.
CREATE FUNCTION take_entitled_place(of_sale text, of_kind text, of_id bytea, new_places integer, by_holder bytea,
    new_index bigint, new_epoch integer, new_joined_at timestamptz,
    OUT verdict text, OUT join_index bigint, OUT epoch integer, OUT joined_at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    had entitlements%ROWTYPE;
BEGIN
    IF new_places <> 0 THEN
        INSERT INTO entitlements (sale_id, kind, id, places) VALUES (of_sale, of_kind, of_id, new_places) ON CONFLICT DO NOTHING;
    END IF;
    SELECT * INTO had FROM entitlements e WHERE e.sale_id = of_sale AND e.kind = of_kind AND e.id = of_id FOR UPDATE;
    IF NOT FOUND THEN
        verdict := 'unknown';
        RETURN;
    END IF;
    SELECT 'held', p.join_index, p.epoch, p.joined_at INTO verdict, join_index, epoch, joined_at
        FROM entitled_places p WHERE p.sale_id = of_sale AND p.kind = of_kind AND p.id = of_id AND p.holder = by_holder;
    IF FOUND THEN
        RETURN;
    ELSIF had.revoked_at IS NOT NULL THEN
        verdict := 'revoked';
        RETURN;
    ELSIF had.taken = had.places THEN
        verdict := 'spent';
        RETURN;
    END IF;
    INSERT INTO entitled_places (sale_id, kind, id, holder, join_index, epoch, joined_at)
        VALUES (of_sale, of_kind, of_id, by_holder, new_index, new_epoch, new_joined_at);
    UPDATE entitlements e SET taken = e.taken + 1 WHERE e.sale_id = of_sale AND e.kind = of_kind AND e.id = of_id;
    verdict := 'given';
    join_index := new_index;
    epoch := new_epoch;
    joined_at := new_joined_at;
END
$$;
