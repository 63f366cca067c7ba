-- Keyed hashes of the numbers and ids of people who had opted out before they were erased. Their key's domain is not
-- that of the aliases, so neither leads to the other.
CREATE TABLE suppressions (
    account_id  TEXT NOT NULL,
    blind_index TEXT NOT NULL,
    PRIMARY KEY (account_id, blind_index)
) STRICT, WITHOUT ROWID;

-- How many destructions of keys there have been.
CREATE TABLE destructions (
    id     INTEGER PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT;
INSERT INTO destructions (id, number) VALUES (1, 0);

-- Nodes that may hold keys in memory: up to which destruction each has forgotten them, and until when it uses them
-- without having asked again.
CREATE TABLE nodes (
    node        TEXT PRIMARY KEY,
    heard       INTEGER NOT NULL,
    usable_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
