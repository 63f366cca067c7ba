-- How far the log had come that this store belongs to: an event of it. A log that lacks it is older than the store, or
-- another one; events after it may speak of people whom an earlier copy of the store does not know.
CREATE TABLE log_anchor (
    id          INTEGER PRIMARY KEY,
    position    INTEGER NOT NULL,
    event_id    TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT;

-- Opt-outs of people whom the directory does not know, by random ids that the log has as well. They lead to none of the
-- hashes.
CREATE TABLE listed_opt_outs (
    id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
