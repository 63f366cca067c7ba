-- One row per projection and version (and per rebuild under way): how far its tables have come. The row is written
-- in the transaction that writes the tables, and is the lock that a rebuild's switch shares with the tail.
CREATE TABLE projections (
    id             TEXT   NOT NULL PRIMARY KEY,
    name           TEXT   NOT NULL,
    version        INTEGER NOT NULL,
    -- Which of the projection's builds serves; a switch raises it, so that a batch folded on the build before fails.
    build          INTEGER NOT NULL,
    -- The definition of its tables: a change without a new version is refused at start.
    shape          TEXT   NOT NULL,
    position       INTEGER NOT NULL,
    state          TEXT   NOT NULL,
    error          TEXT,
    error_position INTEGER,
    updated_at     INTEGER NOT NULL
) STRICT;

-- Who alone may do something until when (microseconds UTC).
CREATE TABLE leases (
    name  TEXT   NOT NULL PRIMARY KEY,
    owner TEXT   NOT NULL,
    until INTEGER NOT NULL,
    -- Raised whenever the lease changes hands.
    epoch INTEGER NOT NULL
) STRICT;
