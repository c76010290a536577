-- Calls in rooms, so that one that is going on survives the server.
CREATE TABLE group_calls (
    id         TEXT PRIMARY KEY NOT NULL,
    room_id    TEXT NOT NULL REFERENCES rooms (id),
    started_by TEXT NOT NULL REFERENCES users (id),
    started_at BIGINT NOT NULL,
    ended_at   BIGINT,
    next_seat  BIGINT NOT NULL,
    -- Who is in it and who took part, as JSON: only the call itself reads them.
    members    TEXT NOT NULL,
    took_part  TEXT NOT NULL
);
CREATE INDEX group_calls_open ON group_calls (id) WHERE ended_at IS NULL;
