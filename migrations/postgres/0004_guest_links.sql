-- Links by which somebody who is not of the community comes into one call of a room, and those who came. Nothing else refers to them,
-- and nothing of them is left when the call is over.
CREATE TABLE guest_links (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    token_hash TEXT COLLATE "C" NOT NULL UNIQUE,
    call_id    TEXT COLLATE "C" NOT NULL REFERENCES group_calls (id),
    created_by TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    -- Who has come by then may stay.
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX guest_links_call ON guest_links (call_id);
CREATE TABLE call_guests (
    -- An id like that of a user, who they are not.
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    token_hash TEXT COLLATE "C" NOT NULL UNIQUE,
    link_id    TEXT COLLATE "C" NOT NULL REFERENCES guest_links (id),
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX call_guests_link ON call_guests (link_id);
