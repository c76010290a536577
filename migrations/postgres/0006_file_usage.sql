-- Bytes of the files that each person has sent, a file sent twice counted twice.
CREATE TABLE file_usage (
    user_id TEXT COLLATE "C" PRIMARY KEY NOT NULL REFERENCES users (id),
    bytes   BIGINT NOT NULL
) WITH (fillfactor = 70);
INSERT INTO file_usage (user_id, bytes)
SELECT messages.author_id, CAST(SUM(files.size) AS BIGINT)
FROM attachments
JOIN messages ON messages.id = attachments.message_id
JOIN files ON files.hash = attachments.hash
GROUP BY messages.author_id;
