-- One row for each epoch key in use; check_value proves that the key at hand is the right one.
CREATE TABLE epochs (
    epoch       INTEGER PRIMARY KEY,
    check_value TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

-- Keys, wrapped by the epoch key. The table only grows and a destruction overwrites `wrapped` with as many zeros, in
-- place: rows are never moved between pages, so no forgotten copy of one stays behind. That is why what is known about
-- a destruction stands in a table of its own, and why this one has a rowid.
CREATE TABLE keys (
    id          TEXT    PRIMARY KEY,
    account_id  TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    subject_id  TEXT,
    epoch       INTEGER NOT NULL,
    wrapped     TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE destroyed_keys (
    id           TEXT    PRIMARY KEY,
    destroyed_at INTEGER NOT NULL,
    why          TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Who a subject is: sealed under the subject's key.
CREATE TABLE subjects (
    account_id TEXT    NOT NULL,
    subject_id TEXT    NOT NULL,
    person     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, subject_id)
) STRICT;

-- By what a subject is found: keyed hashes of its phone numbers and other identifiers.
CREATE TABLE aliases (
    account_id  TEXT NOT NULL,
    blind_index TEXT NOT NULL,
    subject_id  TEXT NOT NULL,
    PRIMARY KEY (account_id, blind_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_of_subject ON aliases (account_id, subject_id);
