-- What is sold, what was sold, and what became of every payment. Seats are not
-- counted here: the ledger does that. No row here is ever deleted.
--
-- Times come from several machines' clocks, so no CHECK orders one after the
-- other: a skewed clock must not make a refund impossible. What is checked is
-- that a status and its times tell the same story.

-- TigerBeetle ledgers are uint32 and 0 is reserved (create_accounts,
-- ledger_must_not_be_zero). One sequence for all sales: no two stocks share a
-- ledger.
CREATE SEQUENCE ledger_numbers AS bigint MINVALUE 1 MAXVALUE 4294967295 NO CYCLE;

CREATE TABLE sales (
    id           text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name         text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 200),
    currency     text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    buyer_limit  integer NOT NULL CHECK (buyer_limit BETWEEN 1 AND 100),
    hold_seconds integer NOT NULL CHECK (hold_seconds BETWEEN 5 AND 86400),
    waiting_room boolean NOT NULL,
    opens_at     timestamptz, -- NULL: at once
    created_at   timestamptz NOT NULL,
    -- When the ledger had its accounts. Until then nobody may be sold anything:
    -- a transfer to a missing account burns its id.
    funded_at    timestamptz
);

-- One row a stock, and a stock is a TigerBeetle ledger: the ticket classes, the
-- perk, and the buyers' quota (whose capacity is the sale's limit, a buyer).
CREATE TABLE sale_stocks (
    ledger      bigint PRIMARY KEY DEFAULT nextval('ledger_numbers')
                CHECK (ledger BETWEEN 1 AND 4294967295),
    sale_id     text NOT NULL REFERENCES sales,
    kind        text NOT NULL CHECK (kind IN ('class', 'perk', 'quota')),
    position    smallint NOT NULL CHECK (position BETWEEN 0 AND 11),
    name        text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 64),
    price_minor bigint CHECK (price_minor BETWEEN 0 AND 100000000),
    capacity    bigint CHECK (capacity BETWEEN 1 AND 100000000),
    UNIQUE (sale_id, kind, position),
    UNIQUE (sale_id, kind, name),
    CONSTRAINT only_classes_are_many CHECK (kind = 'class' OR position = 0),
    CONSTRAINT only_classes_have_a_price CHECK ((kind = 'class') = (price_minor IS NOT NULL)),
    CONSTRAINT only_quotas_have_no_capacity CHECK ((kind = 'quota') = (capacity IS NULL))
);
ALTER SEQUENCE ledger_numbers OWNED BY sale_stocks.ledger;

-- Every captured payment that we know of, and what it bought: tickets, or
-- nothing, and then it goes back. The primary key makes it one of the two and
-- never both (invariant I2): orders and refunds point here together with the
-- fate that they stand for.
CREATE TABLE payments (
    id           text PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 255),
    order_id     uuid NOT NULL, -- no foreign key: it may have ended unsold, or be unknown
    session      text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    currency     text NOT NULL,
    captured_at  timestamptz,   -- NULL where the provider did not say
    bought       text NOT NULL CHECK (bought IN ('tickets', 'nothing')),
    UNIQUE (order_id, id, bought)
);

-- Orders that were sold. Those that failed, expired or were canceled never come
-- here.
CREATE TABLE orders (
    id           uuid PRIMARY KEY,
    sale_id      text NOT NULL REFERENCES sales,
    status       text NOT NULL CHECK (status IN ('paid', 'refunding', 'refunded')),
    -- Unique without an index of its own: a payment names one order, and an
    -- order is one row.
    payment      text NOT NULL,
    bought       text NOT NULL GENERATED ALWAYS AS ('tickets') STORED,
    buyer        uuid NOT NULL,
    email        text NOT NULL CHECK (octet_length(email) BETWEEN 3 AND 254),
    booking      text NOT NULL CHECK (booking IN ('hold', 'rebook')),
    perk_ledger  bigint REFERENCES sale_stocks, -- NULL: it did not get the sale's perk
    paid_at      timestamptz NOT NULL,
    refunding_at timestamptz,
    refunded_at  timestamptz,
    FOREIGN KEY (id, payment, bought) REFERENCES payments (order_id, id, bought),
    CONSTRAINT status_tells_the_times CHECK (
        CASE status
            WHEN 'paid'      THEN refunding_at IS NULL     AND refunded_at IS NULL
            WHEN 'refunding' THEN refunding_at IS NOT NULL AND refunded_at IS NULL
            WHEN 'refunded'  THEN refunding_at IS NOT NULL AND refunded_at IS NOT NULL
        END)
);
CREATE INDEX orders_of_sale ON orders (sale_id, id);

CREATE TABLE order_lines (
    order_id         uuid NOT NULL REFERENCES orders,
    class            text NOT NULL,
    ledger           bigint NOT NULL REFERENCES sale_stocks,
    quantity         integer NOT NULL CHECK (quantity BETWEEN 1 AND 100),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    PRIMARY KEY (order_id, class)
);

CREATE TABLE tickets (
    order_id uuid NOT NULL,
    number   integer NOT NULL CHECK (number BETWEEN 1 AND 100),
    class    text NOT NULL,
    code     text NOT NULL UNIQUE CHECK (octet_length(code) BETWEEN 1 AND 64),
    PRIMARY KEY (order_id, number),
    FOREIGN KEY (order_id, class) REFERENCES order_lines
);

-- Money on its way back: requested until refunded_at is set.
CREATE TABLE refunds (
    payment      text PRIMARY KEY,
    order_id     uuid NOT NULL,
    bought       text NOT NULL,
    sale_id      text REFERENCES sales, -- NULL: the order is unknown
    reason       text NOT NULL CHECK (reason IN ('none_left', 'canceled', 'unknown_order',
                                                 'wrong_amount', 'second_capture', 'organiser')),
    requested_at timestamptz NOT NULL,
    refunded_at  timestamptz,
    FOREIGN KEY (order_id, payment, bought) REFERENCES payments (order_id, id, bought)
);
CREATE INDEX refunds_of_sale ON refunds (sale_id, payment);

-- Events for other systems, written in the transaction that they tell of. They
-- carry no buyer's data. A reader keeps its own cursor over id, and must expect
-- ids to appear out of order: they are given before the commit.
CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event      text NOT NULL CHECK (event IN ('order.paid', 'order.refunded', 'payment.refunded')),
    sale_id    text,
    order_id   uuid NOT NULL,
    payment    text NOT NULL REFERENCES payments,
    payload    jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (event, payment)
);
