//! Single connections to SQLite files, and SQLite's errors in words.

use super::{Error, Result, opening};
use crate::server::data_folder::{self, Action};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sqlx::{AnyConnection, Connection, any::install_default_drivers};
use std::{io::ErrorKind, path::Path};

/// What ends the path of a URL (RFC 3986).
const NOT_IN_PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenMode {
    /// A missing file is created.
    Create,
    Read,
}

pub(super) fn url(file: &Path, mode: OpenMode) -> String {
    let path = file.to_string_lossy();
    let path = utf8_percent_encode(&path, NOT_IN_PATH);
    match mode {
        OpenMode::Create => format!("sqlite://{path}?mode=rwc"),
        OpenMode::Read => format!("sqlite://{path}?mode=ro"),
    }
}

/// Opens a connection that no pool retries.
///
/// # Errors
/// Only [`Error::InvalidSetting`].
pub(super) async fn connect(file: &Path, mode: OpenMode) -> Result<AnyConnection> {
    install_default_drivers();
    AnyConnection::connect(&url(file, mode))
        .await
        .map_err(|error| describe(file, &error))
}

/// Puts SQLite's errors in words; returns others unchanged.
pub(super) fn in_words(file: &Path, error: Error) -> Error {
    match opening::database_error(error) {
        Ok(error) => describe(file, &error),
        Err(other) => other,
    }
}

/// See SQLite's manual: "Result and Error Codes".
pub(super) fn describe(file: &Path, error: &sqlx::Error) -> Error {
    let sqlx::Error::Database(why) = error else {
        return Error::InvalidSetting(format!(
            "the store {} cannot be used: {error}",
            data_folder::absolute(file).display()
        ));
    };
    let extended: i64 = why
        .code()
        .and_then(|code| code.parse().ok())
        .unwrap_or_default();
    let shown = data_folder::absolute(file);
    let shown = shown.display();
    let user = data_folder::current_user();
    let owner = data_folder::owner(file).unwrap_or_else(|| "nobody".to_owned());
    let words = match extended & 0xff {
        26 => format!(
            "{shown} is not a SQLite database, or its beginning is damaged. Move it away and restore a backup (\"rialto restore\"), or \
             choose another folder with --data (RIALTO_DATA)"
        ),
        11 => format!(
            "{shown} is damaged: {}. Stop Rialto, keep a copy, see what \"rialto check\" finds, and restore a backup (\"rialto restore\")",
            why.message()
        ),
        13 => return data_folder::describe(file, Action::Write, &ErrorKind::StorageFull.into()),
        8 => format!(
            "{shown} cannot be written by {user}: it belongs to {owner}, or its file system is read-only. Run this command as that \
             user, or let root change the owner with \"chown -R\""
        ),
        5 | 6 => {
            format!("another program keeps {shown} locked. Stop that program, then try again")
        }
        10 => format!(
            "the disk reports an error for {shown} (SQLite code {extended}). Check that its file system is not full and the disk not broken"
        ),
        14 => format!(
            "{shown} cannot be opened by {user}: it belongs to {owner}. Check that this user may read and write the folder and every file \
             in it that begins with rialto.sqlite"
        ),
        _ => format!(
            "the store {shown} cannot be used: {} (SQLite code {extended})",
            why.message()
        ),
    };
    Error::InvalidSetting(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Executor;

    #[tokio::test]
    async fn a_path_may_contain_what_separates_parts_of_a_url() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("50%? #1 čau");
        let mut made = connect(&file, OpenMode::Create).await.unwrap();
        made.execute("CREATE TABLE t (n BIGINT)").await.unwrap();
        made.close().await.unwrap();
        assert!(file.exists());
        connect(&file, OpenMode::Read).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes.txt");
        std::fs::write(&file, "not a database ".repeat(100)).unwrap();
        let mut opened = connect(&file, OpenMode::Read).await.unwrap();
        let error = opened
            .execute("SELECT * FROM sqlite_master")
            .await
            .unwrap_err();
        let refused = describe(&file, &error).to_string();
        assert!(
            refused.contains("notes.txt is not a SQLite database"),
            "{refused}"
        );
    }
}
