//! Transactions, on connections that are used again only after a known end.
//!
//! A connection whose transaction failed may still be inside it: SQLite ends a transaction by itself when the disk is full, and then
//! refuses the `ROLLBACK`. Whatever runs on that connection afterwards seems to succeed and is never committed. So a connection goes
//! back to its pool only after a `COMMIT` or a `ROLLBACK` that succeeded; otherwise it is closed, and the pool opens another.

use super::{Engine, Result, Store};
use sqlx::{Any, AnyConnection, Executor, pool::PoolConnection};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whether the newest transactions ended as they should.
#[derive(Debug, Default)]
pub(super) struct WriteHealth {
    is_suspect: AtomicBool,
    probe: tokio::sync::Mutex<()>,
}

impl WriteHealth {
    fn set_suspect(&self, is_suspect: bool) {
        self.is_suspect.store(is_suspect, Ordering::Relaxed);
    }

    fn is_suspect(&self) -> bool {
        self.is_suspect.load(Ordering::Relaxed)
    }
}

/// A transaction on a writing connection. Dropped without [`Tx::commit`] or [`Tx::rollback`], it closes its connection, which rolls
/// it back.
pub struct Tx {
    connection: PoolConnection<Any>,
    engine: Engine,
    health: Arc<WriteHealth>,
    /// Whether a `COMMIT` or a `ROLLBACK` succeeded.
    has_ended: bool,
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

impl Tx {
    /// Commits. After an error nobody knows whether the store has it: the connection is closed, and the same may be tried again
    /// where it can be written twice and is there once.
    ///
    /// # Errors
    /// When the store does not confirm the commit.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        // PostgreSQL answers the COMMIT of a failed transaction with a rollback and no error. Any other statement is refused there,
        // and both travel together.
        let commit = match self.engine {
            Engine::SQLite => "COMMIT",
            Engine::PostgreSQL => "SELECT 1; COMMIT",
        };
        self.connection.execute(commit).await?;
        self.has_ended = true;
        self.health.set_suspect(false);
        Ok(())
    }

    /// Rolls back, and keeps the connection: for a transaction that has nothing to write after all, or that breaks a rule.
    ///
    /// # Errors
    /// When the store does not confirm the rollback; nothing was written all the same.
    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        self.connection.execute("ROLLBACK").await?;
        self.has_ended = true;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if !self.has_ended {
            self.connection.close_on_drop();
            self.health.set_suspect(true);
        }
    }
}

impl Store {
    /// Begins a transaction that may write. On SQLite it has the lock for writing from here on.
    ///
    /// # Errors
    /// When no connection is had in time.
    pub async fn begin(&self) -> Result<Tx> {
        // Made before `BEGIN` is sent: whoever stops waiting for the answer leaves a connection that is closed.
        let mut tx = Tx {
            connection: self.write_pool.acquire().await?,
            engine: self.engine,
            health: self.health.clone(),
            has_ended: false,
        };
        let begin = match self.engine {
            Engine::SQLite => "BEGIN IMMEDIATE",
            Engine::PostgreSQL => "BEGIN",
        };
        tx.connection.execute(begin).await?;
        Ok(tx)
    }

    /// Whether the store can be read, and, where the newest transaction failed, written.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn check(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.read_pool).await?;
        if self.health.is_suspect() {
            // One at a time: whoever waits for it finds out what it found.
            let _probe = self.health.probe.lock().await;
            if self.health.is_suspect() {
                self.probe_write().await?;
            }
        }
        Ok(())
    }

    /// Writes something that means nothing, durably.
    async fn probe_write(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES ('write_probe', '') ON CONFLICT (name) DO UPDATE SET value = ''",
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
