-- CRC-32 of the row, as the log wrote it: SQLite itself does not notice when a disk gives back another value. PostgreSQL
-- keeps checksums of its own. Null in rows that are older.
ALTER TABLE events ADD COLUMN checksum INTEGER;
