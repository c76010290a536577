//! The store: SQL, one file a noun. What is asked for is plain functions on [`Store`]; nothing above this module writes SQL.
//!
//! All of it runs through sqlx's `Any` driver and keeps to what SQLite and PostgreSQL share: `$1` placeholders, text ids,
//! integer milliseconds, JSON as text. There are two pools. One connection writes, so that writers queue in the program
//! instead of failing on SQLite's lock; the others read, and see a consistent snapshot meanwhile (WAL).

mod batch;
mod calls;
mod files;
mod messages;
mod rooms;
mod stories;
mod streams;
mod tokens;
mod users;

pub use calls::CallRow;
pub use files::FileRow;
pub use messages::Posted;
pub use streams::{EventRow, NewEvent, Stream, StreamState};
pub use tokens::{Token, TokenRow};
pub use users::Account;

use super::error::{Error, Result};
use crate::model::{
    RoomId, UserId,
    room::{RoomKind, RoomSummary},
};
use batch::Batch;
use sqlx::{
    Any, AnyPool, Executor, Transaction,
    any::{AnyPoolOptions, install_default_drivers},
};
use std::{path::Path, str::FromStr, time::Duration};
use users::SessionRow;

/// How many connections read at once.
const READERS: u32 = 4;

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    read: AnyPool,
    write: AnyPool,
    /// By the hash of their token.
    sessions: Batch<String, SessionRow>,
    /// By member.
    rooms: Batch<UserId, Vec<RoomSummary>>,
    /// By member.
    memberships: Batch<UserId, Vec<(RoomId, RoomKind)>>,
}

/// A transaction on the one writing connection. Dropped without a commit, it is rolled back.
pub type Tx = Transaction<'static, Any>;

impl Store {
    /// Opens the embedded store in a folder, which is made if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// When the folder cannot be written, or the store is newer than this program.
    pub async fn open(folder: &Path) -> Result<Self> {
        tokio::fs::create_dir_all(folder).await?;
        install_default_drivers();
        let file = folder.join("rialto.sqlite");
        let url = format!("sqlite://{}?mode=rwc", file.display());
        let write = pool(&url, 1).await?;
        sqlx::migrate!("migrations/sqlite").run(&write).await?;
        let read = pool(&url, READERS).await?;
        Ok(Self::over(read, write))
    }

    fn over(read: AnyPool, write: AnyPool) -> Self {
        let (sessions, rooms, memberships) = (read.clone(), read.clone(), read.clone());
        Self {
            read,
            write,
            sessions: Batch::new(move |keys| users::find_sessions(sessions.clone(), keys)),
            rooms: Batch::new(move |users| rooms::list_rooms(rooms.clone(), users)),
            memberships: Batch::new(move |users| {
                rooms::list_memberships(memberships.clone(), users)
            }),
        }
    }

    /// Begins a transaction that may write. Its first statement has to be a write, so that SQLite takes its lock at once
    /// and waits for it rather than failing halfway.
    ///
    /// # Errors
    /// When no connection is had in time.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(self.write.begin().await?)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Closes every connection, after what is running has ended.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

async fn pool(url: &str, connections: u32) -> Result<AnyPool> {
    let options = AnyPoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(10))
        .after_connect(|connection, _| {
            Box::pin(async move {
                // FULL: what is acknowledged survives a loss of power, not just a killed process.
                for pragma in [
                    "PRAGMA busy_timeout = 5000",
                    "PRAGMA journal_mode = WAL",
                    "PRAGMA synchronous = FULL",
                    "PRAGMA foreign_keys = ON",
                ] {
                    connection.execute(pragma).await?;
                }
                Ok(())
            })
        });
    Ok(options.connect(url).await?)
}

/// `($1, $2), ($3, $4)`: the placeholders of so many rows of so many columns.
fn placeholders(rows: usize, columns: usize) -> String {
    let mut sql = String::with_capacity(rows * columns * 6);
    for at in 0..rows * columns {
        let before = match at {
            0 => "($",
            _ if at % columns == 0 => "), ($",
            _ => ", $",
        };
        sql.push_str(before);
        sql.push_str(&(at + 1).to_string());
    }
    sql.push(')');
    sql
}

/// Reads an id, a role or another word that the store holds as text.
fn parse<T: FromStr>(text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|why| Error::corrupt(format!("{text:?}: {why}")))
}

/// Reads an optional word.
fn parse_optional<T: FromStr>(text: Option<String>) -> Result<Option<T>>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| parse(&text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::placeholders;

    #[test]
    fn placeholders_count_through_all_rows() {
        assert_eq!(placeholders(2, 2), "($1, $2), ($3, $4)");
        assert_eq!(placeholders(1, 3), "($1, $2, $3)");
    }
}
