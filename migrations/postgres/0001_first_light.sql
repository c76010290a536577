-- The same tables as in migrations/sqlite: `rialto migrate-store` compares the two and copies one into the other. Every text column
-- has the collation "C": bytes are compared, as SQLite does, so that both give the same order whatever the database was made with.

CREATE TABLE users (
    id            TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    -- The name folded for comparison: no two users may look alike.
    name_key      TEXT COLLATE "C" NOT NULL UNIQUE,
    role          TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C",
    created_at    BIGINT NOT NULL
);

CREATE TABLE sessions (
    -- SHA-256 of the cookie's token, in hexadecimal: whoever reads the store cannot sign in with it.
    token_hash TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

-- One-time secrets, such as the link that makes an administrator.
CREATE TABLE secrets (
    purpose    TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE tokens (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    revoked_at BIGINT
);

-- The log: every stream counts its own events from 1, without holes.
CREATE TABLE streams (
    name   TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    epoch  TEXT COLLATE "C" NOT NULL,
    head   BIGINT NOT NULL,
    -- The oldest sequence still kept; head + 1 when none is.
    oldest BIGINT NOT NULL
-- Written twice with every group of events: room beside each row keeps its new versions on the same page, out of the index.
) WITH (fillfactor = 50);

CREATE TABLE events (
    stream  TEXT COLLATE "C" NOT NULL REFERENCES streams (name),
    seq     BIGINT NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    payload TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (stream, seq)
);

CREATE TABLE stories (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    seq        BIGINT NOT NULL UNIQUE,
    slug       TEXT COLLATE "C" NOT NULL UNIQUE,
    headline   TEXT COLLATE "C" NOT NULL,
    body       TEXT COLLATE "C" NOT NULL,
    html       TEXT COLLATE "C" NOT NULL,
    summary    TEXT COLLATE "C" NOT NULL,
    topic      TEXT COLLATE "C" NOT NULL,
    urgency    TEXT COLLATE "C" NOT NULL,
    byline     TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    -- What whoever published it gave to make a repeated request harmless.
    request_id TEXT COLLATE "C" UNIQUE
);
CREATE INDEX stories_by_topic ON stories (topic, seq);

CREATE TABLE rooms (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    slug       TEXT COLLATE "C" NOT NULL UNIQUE,
    name       TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    -- The two user ids of a direct room, the smaller first: two people have one direct room.
    direct_key TEXT COLLATE "C" UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE memberships (
    room_id   TEXT COLLATE "C" NOT NULL REFERENCES rooms (id),
    user_id   TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    read_seq  BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
) WITH (fillfactor = 70);
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE messages (
    -- Made by the sender: the idempotency id.
    id        TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    room_id   TEXT COLLATE "C" NOT NULL REFERENCES rooms (id),
    seq       BIGINT NOT NULL,
    author_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    at        BIGINT NOT NULL,
    content   TEXT COLLATE "C" NOT NULL,
    -- Whether it counts as unread for others: all but calls that both know about.
    counts    BOOLEAN NOT NULL,
    UNIQUE (room_id, seq)
);

-- Files, stored once by the SHA-256 of their bytes.
CREATE TABLE files (
    hash       TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    size       BIGINT NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    width      BIGINT,
    height     BIGINT,
    created_at BIGINT NOT NULL
);

-- Which message carries which file: whoever may see the message's room may read the file.
CREATE TABLE attachments (
    message_id TEXT COLLATE "C" NOT NULL REFERENCES messages (id),
    room_id    TEXT COLLATE "C" NOT NULL REFERENCES rooms (id),
    hash       TEXT COLLATE "C" NOT NULL REFERENCES files (hash),
    name       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (message_id, hash)
);
CREATE INDEX attachments_by_hash ON attachments (hash);

CREATE TABLE calls (
    id          TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    room_id     TEXT COLLATE "C" NOT NULL REFERENCES rooms (id),
    caller_id   TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    callee_id   TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    media       TEXT COLLATE "C" NOT NULL,
    -- dialing, ringing, connecting, connected, reconnecting, ended
    state       TEXT COLLATE "C" NOT NULL,
    outcome     TEXT COLLATE "C",
    -- The page that holds each side, for as long as the call goes on.
    caller_page TEXT COLLATE "C" NOT NULL,
    callee_page TEXT COLLATE "C",
    started_at  BIGINT NOT NULL,
    answered_at BIGINT,
    -- When both pages were connected for the first time.
    connected_at BIGINT,
    ended_at    BIGINT
);
CREATE INDEX calls_by_state ON calls (state);
CREATE INDEX calls_by_room ON calls (room_id, started_at);
