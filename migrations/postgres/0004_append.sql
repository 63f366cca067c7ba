-- Only a repeatable command is ever looked up. The ids of the others are UUIDs, of 36 characters; that of a repeatable
-- one never has this length.
DROP INDEX events_command;
CREATE INDEX events_repeatable ON events (account_id, command_id, position) WHERE length(command_id) <> 36;

-- Appends a batch in one round trip, if what its judge assumed is so; else it answers NULL and has changed nothing. Each
-- statement sees what was committed when it began, and so those after the lock see what its last holder committed.
--
-- Assumed of each stream in check_…: that it ends with the sequence, in the account. Where the batch appends to it, the
-- unique index proves that no further event is there (23505 if it is); if not, that is looked up as well. A stream that
-- the batch begins needs no check but the unique index. Assumed of each command in command_…: that it is not recorded.
CREATE FUNCTION log_append(
    recorded_at BIGINT, account_ids TEXT[], types TEXT[], ids TEXT[], sequences BIGINT[], event_ids TEXT[],
    event_types TEXT[], event_versions TEXT[], payloads TEXT[], metadata TEXT[], command_ids TEXT[],
    check_accounts TEXT[], check_types TEXT[], check_ids TEXT[], check_sequences BIGINT[], check_unmoved BOOLEAN[],
    command_accounts TEXT[], command_keys TEXT[]
) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    before BIGINT;
BEGIN
    SELECT h.position INTO STRICT before FROM log_head h WHERE h.id = 1 FOR UPDATE;
    -- Scalar subqueries: each is one lookup by index, whatever is known of the table. Postgres may turn EXISTS into a hash
    -- of all events.
    IF EXISTS (SELECT FROM unnest(check_accounts, check_types, check_ids, check_sequences, check_unmoved)
                           c(account_id, type, id, sequence, unmoved)
                WHERE c.sequence > 0
                  AND (SELECT e.account_id FROM events e
                        WHERE e.aggregate_type = c.type AND e.aggregate_id = c.id AND e.sequence = c.sequence)
                      IS DISTINCT FROM c.account_id
                   OR c.unmoved
                  AND (SELECT e.sequence FROM events e
                        WHERE e.aggregate_type = c.type AND e.aggregate_id = c.id AND e.sequence = c.sequence + 1)
                      IS NOT NULL)
    OR EXISTS (SELECT FROM unnest(command_accounts, command_keys) c(account_id, id)
                WHERE (SELECT min(e.position) FROM events e
                        WHERE e.account_id = c.account_id AND e.command_id = c.id AND length(e.command_id) <> 36)
                      IS NOT NULL)
    THEN
        RETURN NULL;
    END IF;
    INSERT INTO events (position, account_id, aggregate_type, aggregate_id, sequence, event_id, event_type,
                        event_version, payload, metadata, command_id, recorded_at)
    SELECT before + u.n, u.account_id, u.type, u.id, u.sequence, u.event_id, u.event_type, u.event_version,
           u.payload::json, u.metadata::json, u.command_id, log_append.recorded_at
      FROM unnest(account_ids, types, ids, sequences, event_ids, event_types, event_versions, payloads,
                  log_append.metadata, command_ids) WITH ORDINALITY
           u(account_id, type, id, sequence, event_id, event_type, event_version, payload, metadata, command_id, n);
    UPDATE log_head h SET position = before + cardinality(account_ids) WHERE h.id = 1;
    RETURN before;
END
$$;
