//! Sessions: the database's side of connections.

use super::{database::Database, lock};
use futures::executor::block_on;
use sqlx::{AnyConnection, Executor};
use std::{
    fmt,
    sync::{Arc, Mutex, Weak},
};
use tokio::{sync::OwnedMutexGuard, time::Instant};

pub(super) struct Session {
    pub(super) number: u64,
    /// None after the end.
    pub(super) connection: Option<AnyConnection>,
    pub(super) write_guard: Option<OwnedMutexGuard<()>>,
    pub(super) last_used_at: Instant,
    pub(super) is_busy: bool,
    /// Holds an advisory lock and writes.
    pub(super) is_lease: bool,
    pub(super) database: Weak<Database>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn end(&mut self) {
        let Some(database) = self.database.upgrade() else {
            return;
        };
        if let Some(mut connection) = self.connection.take() {
            if self.write_guard.is_some() {
                let _ = block_on(connection.execute("ROLLBACK"));
            }
            database.lock().spare.push(connection);
        }
        self.write_guard = None;
        let number = self.number;
        database.lock().locks.retain(|_, holder| *holder != number);
    }
}

/// While a statement of the session runs or waits.
pub(super) struct Busy(Arc<Mutex<Session>>);

impl Busy {
    pub(super) fn begin(session: &Arc<Mutex<Session>>) -> Self {
        lock(session).is_busy = true;
        Self(session.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut session = lock(&self.0);
        session.is_busy = false;
        session.last_used_at = Instant::now();
    }
}
