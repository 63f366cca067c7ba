-- Files on their way in. Nothing here is kept: an import's file is deleted when the import ends.
CREATE TABLE uploads (
    id         TEXT    NOT NULL PRIMARY KEY,
    account_id TEXT    NOT NULL,
    -- Under whose key the pieces are sealed.
    subject_id TEXT    NOT NULL,
    bytes      INTEGER NOT NULL,
    utf8       INTEGER NOT NULL,
    -- Keyed hash of the whole file, once it is complete.
    content    TEXT,
    import_id  TEXT,
    created_at INTEGER NOT NULL
) STRICT;

-- Sealed pieces of uploads, and what imports note while they run.
CREATE TABLE upload_parts (
    owner      TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    part       INTEGER NOT NULL,
    sealed     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (owner, kind, part)
) STRICT;
CREATE INDEX upload_parts_by_age ON upload_parts (kind, created_at);
