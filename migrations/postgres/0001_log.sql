-- The log. A superset of the tables of postgres-es, whose repository reads it unchanged. Texts are compared by
-- their bytes, as on the other engines; json (not jsonb) keeps every payload as it was written.
CREATE TABLE events
(
    position       BIGINT PRIMARY KEY CHECK (position > 0),
    account_id     TEXT COLLATE "C" NOT NULL,
    aggregate_type TEXT COLLATE "C" NOT NULL,
    aggregate_id   TEXT COLLATE "C" NOT NULL,
    sequence       BIGINT           NOT NULL CHECK (sequence > 0),
    event_id       TEXT COLLATE "C" NOT NULL,
    event_type     TEXT COLLATE "C" NOT NULL,
    event_version  TEXT COLLATE "C" NOT NULL,
    payload        JSON             NOT NULL,
    metadata       JSON             NOT NULL,
    command_id     TEXT COLLATE "C" NOT NULL,
    -- Microseconds since 1970 UTC.
    recorded_at    BIGINT           NOT NULL
);

CREATE UNIQUE INDEX events_stream ON events (aggregate_type, aggregate_id, sequence);
CREATE INDEX events_account ON events (account_id, position);
CREATE INDEX events_command ON events (account_id, command_id, position);

-- One row: the last position. A writer holds its lock from reading it until the commit that moves it, which puts
-- the batches of all nodes in one order. The page is kept mostly empty so that each update stays on it.
CREATE TABLE log_head
(
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    position BIGINT NOT NULL
) WITH (fillfactor = 10);

INSERT INTO log_head (id, position) VALUES (1, 0);
