-- The log. A superset of the tables of sqlite-es, whose repository reads it unchanged.
CREATE TABLE events
(
    position       INTEGER PRIMARY KEY CHECK (position > 0),
    account_id     TEXT    NOT NULL,
    aggregate_type TEXT    NOT NULL,
    aggregate_id   TEXT    NOT NULL,
    sequence       INTEGER NOT NULL CHECK (sequence > 0),
    event_id       TEXT    NOT NULL,
    event_type     TEXT    NOT NULL,
    event_version  TEXT    NOT NULL,
    payload        TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,
    command_id     TEXT    NOT NULL,
    -- Microseconds since 1970 UTC.
    recorded_at    INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_stream ON events (aggregate_type, aggregate_id, sequence);
CREATE INDEX events_account ON events (account_id, position);
CREATE INDEX events_command ON events (account_id, command_id, position);

-- One row: the last position. A writer holds the write lock from reading it until it has moved it.
CREATE TABLE log_head
(
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL
) STRICT;

INSERT INTO log_head (id, position) VALUES (1, 0);
