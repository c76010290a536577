-- Terms of leaders. A takeover raises the term, and a write of an earlier term changes nothing.
CREATE TABLE leases (
    name       TEXT PRIMARY KEY NOT NULL,
    term       BIGINT NOT NULL,
    -- Id of the node.
    holder     TEXT NOT NULL,
    -- Since when the holder has not reached other nodes. Both times are the database's, in milliseconds since 1970.
    cut_off_at BIGINT,
    -- When a node that reaches the others last claimed the lease of a holder that does not.
    claimed_at BIGINT
);
-- A new leader looks for calls whose end was stored and not yet posted.
CREATE INDEX calls_by_end ON calls (ended_at);
CREATE INDEX group_calls_by_end ON group_calls (ended_at);
