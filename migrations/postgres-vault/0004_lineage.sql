-- By what a process knows that the store is still the one it has used: every destruction with a random tag, and for each
-- process how many of its transactions are stored. A store that was put back to an earlier copy lacks some of both.
CREATE TABLE destruction_history (
    number BIGINT PRIMARY KEY,
    tag    TEXT   NOT NULL
);
INSERT INTO destruction_history (number, tag)
    SELECT number, replace(gen_random_uuid()::text, '-', '') FROM destructions WHERE id = 1;

CREATE TABLE writers (
    writer TEXT COLLATE "C" PRIMARY KEY,
    writes BIGINT NOT NULL
);
