-- Ids are UUIDs as text, times are milliseconds since 1970-01-01T00:00:00Z, JSON is text: what both SQLite and PostgreSQL
-- hold the same way.

CREATE TABLE users (
    id            TEXT   PRIMARY KEY NOT NULL,
    name          TEXT   NOT NULL,
    -- The name folded for comparison: no two users may look alike.
    name_key      TEXT   NOT NULL UNIQUE,
    role          TEXT   NOT NULL,
    password_hash TEXT,
    created_at    BIGINT NOT NULL
);

CREATE TABLE sessions (
    -- SHA-256 of the cookie's token, in hexadecimal: whoever reads the store cannot sign in with it.
    token_hash TEXT   PRIMARY KEY NOT NULL,
    user_id    TEXT   NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

-- One-time secrets, such as the link that makes an administrator.
CREATE TABLE secrets (
    purpose    TEXT   PRIMARY KEY NOT NULL,
    hash       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE tokens (
    id         TEXT   PRIMARY KEY NOT NULL,
    name       TEXT   NOT NULL,
    hash       TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    revoked_at BIGINT
);

-- The log: every stream counts its own events from 1, without holes.
CREATE TABLE streams (
    name   TEXT   PRIMARY KEY NOT NULL,
    epoch  TEXT   NOT NULL,
    head   BIGINT NOT NULL,
    -- The oldest sequence still kept; head + 1 when none is.
    oldest BIGINT NOT NULL
);

CREATE TABLE events (
    stream  TEXT   NOT NULL REFERENCES streams (name),
    seq     BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    payload TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (stream, seq)
);

CREATE TABLE stories (
    id         TEXT   PRIMARY KEY NOT NULL,
    seq        BIGINT NOT NULL UNIQUE,
    slug       TEXT   NOT NULL UNIQUE,
    headline   TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    html       TEXT   NOT NULL,
    summary    TEXT   NOT NULL,
    topic      TEXT   NOT NULL,
    urgency    TEXT   NOT NULL,
    byline     TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    -- What whoever published it gave to make a repeated request harmless.
    request_id TEXT   UNIQUE
);
CREATE INDEX stories_by_topic ON stories (topic, seq);

CREATE TABLE rooms (
    id         TEXT   PRIMARY KEY NOT NULL,
    slug       TEXT   NOT NULL UNIQUE,
    name       TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    -- The two user ids of a direct room, the smaller first: two people have one direct room.
    direct_key TEXT   UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE memberships (
    room_id   TEXT   NOT NULL REFERENCES rooms (id),
    user_id   TEXT   NOT NULL REFERENCES users (id),
    read_seq  BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE messages (
    -- Made by the sender: the idempotency id.
    id        TEXT   PRIMARY KEY NOT NULL,
    room_id   TEXT   NOT NULL REFERENCES rooms (id),
    seq       BIGINT NOT NULL,
    author_id TEXT   NOT NULL REFERENCES users (id),
    at        BIGINT NOT NULL,
    content   TEXT   NOT NULL,
    -- Whether it counts as unread for others: all but calls that both know about.
    counts    BOOLEAN NOT NULL,
    UNIQUE (room_id, seq)
);

-- Files, stored once by the SHA-256 of their bytes.
CREATE TABLE files (
    hash       TEXT   PRIMARY KEY NOT NULL,
    size       BIGINT NOT NULL,
    media_type TEXT   NOT NULL,
    width      BIGINT,
    height     BIGINT,
    created_at BIGINT NOT NULL
);

-- Which message carries which file: whoever may see the message's room may read the file.
CREATE TABLE attachments (
    message_id TEXT NOT NULL REFERENCES messages (id),
    room_id    TEXT NOT NULL REFERENCES rooms (id),
    hash       TEXT NOT NULL REFERENCES files (hash),
    name       TEXT NOT NULL,
    PRIMARY KEY (message_id, hash)
);
CREATE INDEX attachments_by_hash ON attachments (hash);

CREATE TABLE calls (
    id          TEXT   PRIMARY KEY NOT NULL,
    room_id     TEXT   NOT NULL REFERENCES rooms (id),
    caller_id   TEXT   NOT NULL REFERENCES users (id),
    callee_id   TEXT   NOT NULL REFERENCES users (id),
    media       TEXT   NOT NULL,
    -- dialing, ringing, connecting, connected, reconnecting, ended
    state       TEXT   NOT NULL,
    outcome     TEXT,
    -- The page that holds each side, for as long as the call goes on.
    caller_page TEXT   NOT NULL,
    callee_page TEXT,
    started_at  BIGINT NOT NULL,
    answered_at BIGINT,
    -- When both pages were connected for the first time.
    connected_at BIGINT,
    ended_at    BIGINT
);
CREATE INDEX calls_by_state ON calls (state);
CREATE INDEX calls_by_room ON calls (room_id, started_at);
