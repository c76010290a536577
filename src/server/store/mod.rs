//! The store: all SQL of the program, as methods of [`Store`].
//!
//! SQLite and PostgreSQL run the same queries through sqlx's `Any` driver: `$1` placeholders (for rows, `Engine::placeholders`), ids and JSON
//! as text, integer milliseconds, bytewise text order.
//!
//! On SQLite one connection writes and writers queue for it; the others read a snapshot (WAL). On PostgreSQL several programs write, so a
//! lock or constraint protects every read-then-write.

mod calls;
pub mod check;
mod connection;
mod copy;
mod data_loader;
mod database_url;
mod engine;
mod epochs;
mod files;
mod group_calls;
mod guests;
mod lease;
mod memberships;
mod messages;
mod migrations;
mod opening;
mod personal_settings;
pub mod postgres_migration;
pub mod restoring;
mod rooms;
mod settings;
pub mod snapshot;
mod sqlite;
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
#[cfg(test)]
pub(crate) use connection::{
    Step,
    faults::Fault,
    simulated::{Database, DatabaseNetwork, Reachability},
};
pub use database_url::DatabaseUrl;
pub use epochs::StorePosition;
pub use files::FileRow;
pub use group_calls::GroupCallRow;
pub use guests::{CallGuest, GuestLink};
pub use lease::{Connectivity, LEASE_EXPIRY, Lease, LeaseName, Renewal, Saved, Term};
pub use messages::PostedMessage;
pub use personal_settings::{Block, StoredSettings};
pub use streams::{EventRow, LockedRows, NewEvent, Stream, StreamState};
pub use tokens::{Token, TokenRow};
pub use transaction::Tx;
pub use users::{Account, Session};

use super::{
    config::StoreConfig,
    error::{Error, Result},
};
use crate::model::{
    RoomId, UserId,
    room::{RoomKind, RoomSummary},
};
use connection::Pool;
use data_loader::DataLoader;
use std::{str::FromStr, sync::Arc};
use transaction::WriteHealth;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    SQLite,
    PostgreSQL,
}

impl Engine {
    /// As in `($1, $2), ($3, $4)`; on SQLite `(?, ?), (?, ?)`, because it searches the list of names for each parameter.
    fn placeholders(self, rows: usize, columns: usize) -> String {
        let mut sql = String::with_capacity(rows * columns * 6);
        for at in 0..rows * columns {
            sql.push_str(match at {
                0 => "(",
                _ if at % columns == 0 => "), (",
                _ => ", ",
            });
            match self {
                Self::SQLite => sql.push('?'),
                Self::PostgreSQL => {
                    sql.push('$');
                    sql.push_str(&(at + 1).to_string());
                }
            }
        }
        sql.push(')');
        sql
    }
}

/// Handle to the store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Engine,
    read_pool: Pool,
    write_pool: Pool,
    health: Arc<WriteHealth>,
    session_loader: DataLoader<String, Session>,
    room_loader: DataLoader<UserId, Vec<RoomSummary>>,
    membership_loader: DataLoader<UserId, Vec<(RoomId, RoomKind)>>,
}

impl Store {
    /// Opens the configured store, upgrades its schema, and renews the epochs if the store went back.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] when folder or database are unusable, or the store is newer than this program.
    pub async fn open(config: &StoreConfig) -> Result<Self> {
        match &config.database_url {
            Some(url) => engine::open_postgres(url, config).await,
            None => engine::open_embedded(config).await,
        }
    }

    #[cfg(test)]
    pub(crate) fn simulated(database: &Arc<Database>, network: &DatabaseNetwork) -> Self {
        use connection::simulated::{Purpose, SimulatedPool};
        let pool = |purpose, connections| {
            Pool::simulated(SimulatedPool::new(database, purpose, connections, network))
        };
        let writers = if database.is_shared { 3 } else { 1 };
        let (read, write) = (pool(Purpose::Read, 3), pool(Purpose::Write, writers));
        Self::from_pools(Engine::SQLite, read, write)
    }

    fn from_pools(engine: Engine, read: Pool, write: Pool) -> Self {
        let (sessions, rooms, memberships) = (read.clone(), read.clone(), read.clone());
        Self {
            engine,
            read_pool: read,
            write_pool: write,
            health: Arc::default(),
            session_loader: DataLoader::new(move |keys| {
                users::find_sessions(engine, sessions.clone(), keys)
            }),
            room_loader: DataLoader::new(move |users| {
                rooms::list_rooms(engine, rooms.clone(), users)
            }),
            membership_loader: DataLoader::new(move |users| {
                memberships::list_memberships(engine, memberships.clone(), users)
            }),
        }
    }

    #[cfg(test)]
    pub(crate) fn write_faults(&self) -> connection::faults::Faults {
        self.write_pool.faults.clone()
    }

    /// Whether other programs may write to the store.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.engine == Engine::PostgreSQL
    }

    /// Closes all connections once their queries have ended, within five seconds.
    pub async fn close(&self) {
        tokio::join!(self.read_pool.close(), self.write_pool.close());
    }
}

/// Whether the connection was lost, the database restarts, or two writers conflicted.
pub(in crate::server) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        // `WorkerCrashed`: an SQLite connection was closed while it answered.
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // SQLITE_BUSY: another program writes.
            if code == "5" {
                return true;
            }
            // SQLSTATE codes: PostgreSQL manual, appendix A.
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

pub(in crate::server) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("55P03"))
}

pub(in crate::server) fn is_unique_violation(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.is_unique_violation())
}

/// PostgreSQL does not allow NUL in text.
fn can_be_stored(text: &str) -> bool {
    !text.contains('\0')
}

fn parse<T: FromStr>(text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|why| Error::corrupt(format!("{text:?}: {why}")))
}

fn parse_optional<T: FromStr>(text: Option<String>) -> Result<Option<T>>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| parse(&text)).transpose()
}
