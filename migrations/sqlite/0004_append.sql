-- Only a repeatable command is ever looked up. The ids of the others are UUIDs, of 36 characters; that of a repeatable
-- one never has this length.
DROP INDEX events_command;
CREATE INDEX events_repeatable ON events (account_id, command_id, position) WHERE length(command_id) <> 36;

-- The write lock puts batches in order, and nothing is ever deleted: an inserted event gets the position after the last
-- from SQLite itself, and the head is where the table ends.
DROP TABLE log_head;
CREATE VIEW log_head (id, position) AS SELECT 1, coalesce(max(position), 0) FROM events;
