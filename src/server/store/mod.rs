//! The store: SQL, one file a noun. What is asked for is plain functions on [`Store`]; nothing above this module writes SQL.
//!
//! It is a SQLite file in the data folder, or a PostgreSQL database; the same queries run on both. All of it goes through sqlx's
//! `Any` driver and keeps to what the two share: `$1` placeholders, text ids, integer milliseconds, JSON as text, text compared
//! by its bytes. [`open`] is where they differ, and [`Engine`] is asked in very few places.
//!
//! There are two pools. On SQLite one connection writes, so that writers queue in the program instead of failing on its lock; the
//! others read, and see a consistent snapshot meanwhile (WAL). On PostgreSQL several write, from several programs: whatever is
//! read to be written is locked or kept by a constraint, never by being alone.

mod calls;
mod data_loader;
mod database_url;
mod engine;
mod files;
mod group_calls;
mod guests;
mod lease;
mod messages;
mod migrations;
pub mod postgres_migration;
mod rooms;
mod settings;
mod stories;
mod streams;
mod tokens;
mod transaction;
mod users;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use calls::CallRow;
pub use database_url::DatabaseUrl;
pub use files::FileRow;
pub use group_calls::GroupCallRow;
pub use guests::{CallGuest, GuestLink};
pub use lease::Lease;
pub use messages::PostedMessage;
pub use streams::{EventRow, NewEvent, Stream, StreamState};
pub use tokens::{Token, TokenRow};
pub use transaction::Tx;
pub use users::Account;

use super::{
    config::StoreConfig,
    error::{Error, Result},
};
use crate::model::{
    RoomId, UserId,
    room::{RoomKind, RoomSummary},
};
use data_loader::DataLoader;
use sqlx::AnyPool;
use std::{str::FromStr, sync::Arc};
use transaction::WriteHealth;
use users::SessionRow;

/// What the store is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    SQLite,
    PostgreSQL,
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Engine,
    read_pool: AnyPool,
    write_pool: AnyPool,
    health: Arc<WriteHealth>,
    /// By the hash of their token.
    session_loader: DataLoader<String, SessionRow>,
    /// By member.
    room_loader: DataLoader<UserId, Vec<RoomSummary>>,
    /// By member.
    membership_loader: DataLoader<UserId, Vec<(RoomId, RoomKind)>>,
}

impl Store {
    /// Opens the store that is set, and brings its schema up to date. Without a database's address that is the embedded one in
    /// the data folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Setting`] in words when the database cannot be reached or used. Otherwise when the folder cannot be written, or
    /// the store is newer than this program.
    pub async fn open(config: &StoreConfig) -> Result<Self> {
        match &config.database_url {
            Some(url) => engine::open_postgres(url).await,
            None => engine::open_embedded(&config.data).await,
        }
    }

    fn from_pools(engine: Engine, read: AnyPool, write: AnyPool) -> Self {
        let (sessions, rooms, memberships) = (read.clone(), read.clone(), read.clone());
        Self {
            engine,
            read_pool: read,
            write_pool: write,
            health: Arc::default(),
            session_loader: DataLoader::new(move |keys| {
                users::find_sessions(sessions.clone(), keys)
            }),
            room_loader: DataLoader::new(move |users| rooms::list_rooms(rooms.clone(), users)),
            membership_loader: DataLoader::new(move |users| {
                rooms::list_memberships(memberships.clone(), users)
            }),
        }
    }

    /// Closes every connection, after what is running has ended.
    pub async fn close(&self) {
        self.read_pool.close().await;
        self.write_pool.close().await;
    }
}

/// Whether trying the same again may help: the connection was lost, the database is stopping or starting, or two writers stood
/// in each other's way. SQLite, with one writer, knows none of it.
pub(in crate::server) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Appendix A of PostgreSQL's manual.
            code.len() == 5
                && (code.starts_with("08")
                    || matches!(
                        code.as_ref(),
                        "25P03"
                            | "40001"
                            | "40P01"
                            | "53300"
                            | "55P03"
                            | "57P01"
                            | "57P02"
                            | "57P03"
                    ))
        }),
        _ => false,
    }
}

/// Whether a row was refused because another one has the same id, name or address.
pub(in crate::server) fn is_unique_violation(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.is_unique_violation())
}

/// Whether a text that came from outside can be in the store at all: PostgreSQL knows no NUL character, and nothing in the store
/// has one.
fn can_be_stored(text: &str) -> bool {
    !text.contains('\0')
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
