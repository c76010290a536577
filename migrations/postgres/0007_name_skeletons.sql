-- What each name looks like: no two people may have names that look alike. A user from before may have none.
CREATE TABLE name_skeletons (
    skeleton TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    user_id  TEXT COLLATE "C" NOT NULL REFERENCES users (id)
);
CREATE INDEX name_skeletons_by_user ON name_skeletons (user_id);
