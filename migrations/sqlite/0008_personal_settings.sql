-- Who may call a person: everyone, members, contacts or nobody.
ALTER TABLE users ADD COLUMN calls_from TEXT NOT NULL DEFAULT 'everyone';
-- all, or relay if a person's address stays hidden from those they call; none leaves it to the site.
ALTER TABLE users ADD COLUMN ice_transport_policy TEXT;
-- Whom each person has blocked.
CREATE TABLE blocks (
    blocker_id TEXT   NOT NULL REFERENCES users (id),
    blocked_id TEXT   NOT NULL REFERENCES users (id),
    blocked_at BIGINT NOT NULL,
    PRIMARY KEY (blocker_id, blocked_id)
);
-- Head of the room when its member hid it: a later message shows it again.
ALTER TABLE memberships ADD COLUMN hidden_seq BIGINT NOT NULL DEFAULT -1;
