-- Pages are kept mostly empty so that the frequent updates stay on them.
--
-- One row per projection and version (and per rebuild under way): how far its tables have come. The row is written
-- in the transaction that writes the tables, and is the lock that a rebuild's switch shares with the tail.
CREATE TABLE projections (
    id             TEXT    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL,
    version        BIGINT  NOT NULL,
    -- Which of the projection's builds serves; a switch raises it, so that a batch folded on the build before fails.
    build          BIGINT  NOT NULL,
    -- The definition of its tables: a change without a new version is refused at start.
    shape          TEXT    NOT NULL,
    position       BIGINT  NOT NULL,
    state          TEXT    NOT NULL,
    error          TEXT,
    error_position BIGINT,
    updated_at     BIGINT  NOT NULL
) WITH (fillfactor = 10);

-- Who alone may do something until when (microseconds UTC).
CREATE TABLE leases (
    name  TEXT    NOT NULL PRIMARY KEY,
    owner TEXT    NOT NULL,
    until BIGINT  NOT NULL,
    -- Raised whenever the lease changes hands.
    epoch BIGINT  NOT NULL
) WITH (fillfactor = 10);
