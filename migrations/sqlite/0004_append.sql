-- Only a repeatable command is ever looked up. The ids of the others are UUIDs, of 36 characters; that of a repeatable
-- one never has this length.
DROP INDEX events_command;
CREATE INDEX events_repeatable ON events (account_id, command_id, position) WHERE length(command_id) <> 36;
