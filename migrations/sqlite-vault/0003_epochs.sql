-- The epoch whose key wraps new keys: one row, which whoever stores a key or ends an epoch reads first. Later epochs are
-- being handed to the nodes, earlier ones end.
CREATE TABLE current_epoch (
    id    INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO current_epoch (id, epoch) VALUES (1, 1);

-- How many destructions there had been when the epoch became current; when no living key was wrapped under it any more;
-- and when its key was destroyed on every node.
ALTER TABLE epochs ADD COLUMN destructions INTEGER;
ALTER TABLE epochs ADD COLUMN ended_at INTEGER;
ALTER TABLE epochs ADD COLUMN destroyed_at INTEGER;

-- Since when something destroyed waits for the end of its epoch.
ALTER TABLE destructions ADD COLUMN waiting_since INTEGER;
UPDATE destructions SET waiting_since = (SELECT min(destroyed_at) FROM destroyed_keys);

-- By what people know the node, the newest epoch that it can use, the newest whose key it has destroyed, and what keeps
-- it from more.
ALTER TABLE nodes ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN usable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN complaint TEXT;
