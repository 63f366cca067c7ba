-- When each opt-out on the list was said, so that an older opt-in that arrives late does not undo it. What is on the
-- list already counts from now.
ALTER TABLE suppressions ADD COLUMN opted_out_at BIGINT NOT NULL DEFAULT 0;
UPDATE suppressions SET opted_out_at = CAST(extract(epoch FROM now()) AS BIGINT) * 1000000;

-- Keyed hashes of the numbers and ids of people who were erased a short time ago, under a domain of their own: imports
-- whose file was received before, and webhooks from before, do not bring them back.
CREATE TABLE erased_identities (
    account_id  TEXT COLLATE "C" NOT NULL,
    blind_index TEXT COLLATE "C" NOT NULL,
    erased_at   BIGINT NOT NULL,
    PRIMARY KEY (account_id, blind_index)
);
CREATE INDEX erased_identities_by_moment ON erased_identities (account_id, erased_at);
