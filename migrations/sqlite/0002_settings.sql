-- What the program made up for itself and has to know again, such as the secret that credentials for the relay are made with.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);
