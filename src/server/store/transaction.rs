//! Transactions on pooled connections, which are reused only after a confirmed end.
//!
//! On a full disk SQLite ends a transaction by itself and rejects the `ROLLBACK`. Later statements on the connection seem to succeed but
//! are never committed.

use super::{
    Engine, Result, Store,
    connection::{Connection, Step},
};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

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

/// A write transaction. Dropping it closes its connection, which rolls it back.
pub struct Tx {
    connection: Connection,
    engine: Engine,
    health: Arc<WriteHealth>,
    has_ended: bool,
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

impl Tx {
    /// Commits. After an error the outcome is unknown: retry only idempotent writes.
    ///
    /// # Errors
    /// When the commit is not confirmed.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        // PostgreSQL's `COMMIT` rolls back a failed transaction without an error; `SELECT 1` fails.
        let commit = match self.engine {
            Engine::SQLite => "COMMIT",
            Engine::PostgreSQL => "SELECT 1; COMMIT",
        };
        self.connection.run(Step::Commit, commit).await?;
        self.has_ended = true;
        self.health.set_suspect(false);
        Ok(())
    }

    /// Rolls back a transaction with nothing to write, and keeps the connection.
    ///
    /// # Errors
    /// When the rollback is not confirmed; nothing was written either way.
    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        self.connection.run(Step::Rollback, "ROLLBACK").await?;
        self.has_ended = true;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
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
    /// Begins a write transaction. SQLite takes the write lock immediately.
    ///
    /// # Errors
    /// When no connection is available in time, or the store fails.
    pub async fn begin(&self) -> Result<Tx> {
        self.begin_with(match self.engine {
            Engine::SQLite => "BEGIN IMMEDIATE",
            Engine::PostgreSQL => "BEGIN",
        })
        .await
    }

    /// Begins a transaction of the event log. PostgreSQL waits for a lock 250 ms at most.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn begin_append(&self) -> Result<Tx> {
        self.begin_with(match self.engine {
            Engine::SQLite => "BEGIN IMMEDIATE",
            Engine::PostgreSQL => "BEGIN; SET LOCAL lock_timeout = '250ms'",
        })
        .await
    }

    async fn begin_with(&self, begin: &'static str) -> Result<Tx> {
        // Before `BEGIN` is sent: a cancelled caller drops it, which closes the connection.
        let mut tx = Tx {
            connection: self.write_pool.acquire().await?,
            engine: self.engine,
            health: self.health.clone(),
            has_ended: false,
        };
        tx.connection.run(Step::Begin, begin).await?;
        Ok(tx)
    }

    /// Checks that the store can be read and, after a failed transaction, written.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn check(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.read_pool).await?;
        if self.health.is_suspect() {
            // Waiting callers reuse its success.
            let _probe = self.health.probe.lock().await;
            if self.health.is_suspect() {
                self.probe_write().await?;
            }
        }
        Ok(())
    }

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
