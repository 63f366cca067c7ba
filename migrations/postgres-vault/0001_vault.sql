-- One row for each epoch key in use; check_value proves that the key at hand is the right one.
CREATE TABLE epochs (
    epoch       BIGINT PRIMARY KEY,
    check_value TEXT   NOT NULL,
    created_at  BIGINT NOT NULL
);

-- Keys, wrapped by the epoch key. A destruction overwrites `wrapped` with as many zeros; what is known about it stands
-- in a table of its own.
CREATE TABLE keys (
    id          TEXT   COLLATE "C" PRIMARY KEY,
    account_id  TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    subject_id  TEXT,
    epoch       BIGINT NOT NULL,
    wrapped     TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    created_at  BIGINT NOT NULL
);

CREATE TABLE destroyed_keys (
    id           TEXT   COLLATE "C" PRIMARY KEY,
    destroyed_at BIGINT NOT NULL,
    why          TEXT   NOT NULL
);

-- Who a subject is: sealed under the subject's key.
CREATE TABLE subjects (
    account_id TEXT   COLLATE "C" NOT NULL,
    subject_id TEXT   COLLATE "C" NOT NULL,
    person     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, subject_id)
);

-- By what a subject is found: keyed hashes of its phone numbers and other identifiers.
CREATE TABLE aliases (
    account_id  TEXT COLLATE "C" NOT NULL,
    blind_index TEXT COLLATE "C" NOT NULL,
    subject_id  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, blind_index)
);
CREATE INDEX aliases_of_subject ON aliases (account_id, subject_id);
