-- What organisers and operators did: see docs/security.md. A row is there before the act, its status after it. No buyer's data.
CREATE TABLE acts (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at         timestamptz NOT NULL DEFAULT clock_timestamp(),
	who        text NOT NULL,
	act        text NOT NULL,
	path       text NOT NULL,
	source     text NOT NULL,
	request_id text NOT NULL,
	status     smallint -- NULL: not known
);
CREATE INDEX acts_at ON acts (at);
