-- Bytes of the files that each person has sent, a file sent twice counted twice.
CREATE TABLE file_usage (
    user_id TEXT   PRIMARY KEY NOT NULL REFERENCES users (id),
    bytes   BIGINT NOT NULL
);
INSERT INTO file_usage (user_id, bytes)
SELECT messages.author_id, SUM(files.size)
FROM attachments
JOIN messages ON messages.id = attachments.message_id
JOIN files ON files.hash = attachments.hash
GROUP BY messages.author_id;
