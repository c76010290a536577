//! A simulated database server: a real SQLite file behind a network that delays, cuts and loses.
//!
//! A statement takes no time of the paused clock. Programs share one write lock, as on SQLite; a session idle in a transaction ends, as on
//! PostgreSQL.

mod database;
mod locked;
mod session;

pub(crate) use database::{Database, DatabaseNetwork, Reachability};

use super::{
    Row, Step,
    faults::{Fault, Faults, lost_connection},
};
use crate::server::simulation::node::{self, Node};
use futures::{
    StreamExt, TryStreamExt,
    executor::block_on,
    future,
    stream::{self, BoxStream},
};
use locked::Locked;
use session::{Busy, Session};
use sqlx::{Any, Execute, Executor};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until, timeout},
};

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// `busy_timeout` of SQLite, `lock_timeout` of PostgreSQL.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// `idle_in_transaction_session_timeout` of PostgreSQL.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(4);
/// Longer than a statement's deadline.
const LATE_COMMIT_DELAY: Duration = Duration::from_secs(9);

#[derive(Debug, Clone)]
pub(crate) struct SimulatedPool {
    database: Arc<Database>,
    purpose: Purpose,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Arc<Mutex<Session>>>>>,
    network: DatabaseNetwork,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

impl SimulatedPool {
    pub(crate) fn new(
        database: &Arc<Database>,
        purpose: Purpose,
        connections: usize,
        network: &DatabaseNetwork,
    ) -> Self {
        Self {
            database: database.clone(),
            purpose,
            places: Arc::new(Semaphore::new(connections)),
            idle: Arc::default(),
            network: network.clone(),
        }
    }

    pub(super) async fn acquire(&self) -> Result<SimulatedConnection, sqlx::Error> {
        let acquired = timeout(ACQUIRE_TIMEOUT, async {
            let place = self.places.clone().acquire_owned().await;
            let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
            let idle = lock(&self.idle).pop();
            let session = match idle {
                Some(session) => session,
                None => self.open_session().await?,
            };
            Ok(SimulatedConnection {
                pool: self.clone(),
                session,
                node: node::current(),
                _place: place,
            })
        });
        acquired.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn open_session(&self) -> Result<Arc<Mutex<Session>>, sqlx::Error> {
        self.network.pass(&self.database).await?;
        let connection = self.database.connect();
        let mut state = self.database.lock();
        state.next_session += 1;
        Ok(Arc::new(Mutex::new(Session {
            number: state.next_session,
            connection: Some(connection),
            write_guard: None,
            last_used_at: Instant::now(),
            is_busy: false,
            is_lease: false,
            database: Arc::downgrade(&self.database),
        })))
    }

    pub(super) fn close(&self) {
        self.places.close();
        for session in lock(&self.idle).drain(..) {
            lock(&session).end();
        }
    }
}

/// The client's side of a connection.
#[derive(Debug)]
pub(super) struct SimulatedConnection {
    pool: SimulatedPool,
    session: Arc<Mutex<Session>>,
    node: Option<Arc<Node>>,
    _place: OwnedSemaphorePermit,
}

impl SimulatedConnection {
    pub(super) fn fetch_many<'e, 'q: 'e>(
        &'e mut self,
        step: Step,
        query: impl Execute<'q, Any> + 'q,
        faults: Faults,
    ) -> BoxStream<'e, Result<Row, sqlx::Error>> {
        let rows = async move {
            let rows = self.run(step, query, &faults).await?;
            Ok::<_, sqlx::Error>(stream::iter(rows.into_iter().map(Ok)))
        };
        stream::once(rows).try_flatten().boxed()
    }

    async fn run<'q>(
        &self,
        step: Step,
        mut query: impl Execute<'q, Any> + 'q,
        faults: &Faults,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let database = &self.pool.database;
        self.pool.network.pass(database).await?;
        let fault = faults.take(step);
        match fault {
            Some(Fault::Fails) => return Err(lost_connection()),
            Some(Fault::Hangs) => future::pending().await,
            Some(Fault::CommitsLate) => {
                self.commit_late();
                future::pending::<()>().await;
            }
            Some(Fault::LosesAnswer | Fault::HangsAfter) | None => {}
        }
        let _busy = Busy::begin(&self.session);
        let mut guard = self.lock_for_writing(step).await?;
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let sql = query.sql();
        let rows = {
            let mut session = lock(&self.session);
            let Some(connection) = &mut session.connection else {
                return Err(lost_connection());
            };
            let answer = connection.fetch_many((sql.clone(), arguments));
            let rows = block_on(answer.try_collect::<Vec<_>>());
            if rows.iter().flatten().any(has_written) {
                database.on_written(sql.as_str(), self.node.as_ref());
            }
            match (step, &rows) {
                // Without a lock, a transaction is open already.
                (Step::Begin, _) if guard.is_some() => session.write_guard = guard.take(),
                (Step::Commit | Step::Rollback, Ok(_)) => session.write_guard = None,
                _ => {}
            }
            // A single statement is its own transaction.
            drop(guard);
            rows?
        };
        if step == Step::Begin && database.is_shared {
            self.end_if_idle(IDLE_IN_TRANSACTION_TIMEOUT);
        }
        self.pool.network.pass(database).await?;
        match fault {
            Some(Fault::LosesAnswer) => Err(lost_connection()),
            Some(Fault::HangsAfter) => future::pending().await,
            _ => Ok(rows),
        }
    }

    /// None if the lock is held already or not needed.
    async fn lock_for_writing(
        &self,
        step: Step,
    ) -> Result<Option<OwnedMutexGuard<()>>, sqlx::Error> {
        let (has_guard, is_lease) = {
            let session = lock(&self.session);
            (session.write_guard.is_some(), session.is_lease)
        };
        if has_guard || self.pool.purpose == Purpose::Read && !is_lease {
            return Ok(None);
        }
        if matches!(step, Step::Commit | Step::Rollback) {
            return Ok(None);
        }
        let locked = self.pool.database.write_lock.clone().lock_owned();
        let locked = timeout(LOCK_TIMEOUT, locked).await;
        locked
            .map(Some)
            .map_err(|_| sqlx::Error::Database(Box::new(Locked)))
    }

    fn commit_late(&self) {
        let (connection, guard, database) = {
            let mut session = lock(&self.session);
            let connection = session.connection.take();
            let guard = session.write_guard.take();
            (connection, guard, self.pool.database.clone())
        };
        let Some(mut connection) = connection else {
            return;
        };
        // The database's task, not the node's.
        tokio::spawn(async move {
            sleep(LATE_COMMIT_DELAY).await;
            let _ = block_on(connection.execute("COMMIT"));
            database.lock().spare.push(connection);
            drop(guard);
        });
    }

    /// Held until the session ends or is idle for `expiry`.
    pub(super) fn try_advisory_lock(&self, key: i64, expiry: Duration) -> bool {
        let number = lock(&self.session).number;
        let is_free = {
            let mut state = self.pool.database.lock();
            *state.locks.entry(key).or_insert(number) == number
        };
        if is_free {
            {
                let mut session = lock(&self.session);
                session.last_used_at = Instant::now();
                session.is_lease = true;
            }
            self.end_if_idle(expiry);
        }
        is_free
    }

    /// Only in a transaction or with an advisory lock.
    fn end_if_idle(&self, longest: Duration) {
        let session = Arc::downgrade(&self.session);
        tokio::spawn(async move {
            loop {
                let Some(at) = session.upgrade().map(|session| {
                    let session = lock(&session);
                    session.last_used_at + longest
                }) else {
                    return;
                };
                sleep_until(at).await;
                let Some(session) = session.upgrade() else {
                    return;
                };
                let mut session = lock(&session);
                if session.connection.is_none()
                    || !(session.is_lease || session.write_guard.is_some())
                {
                    return;
                }
                if session.is_busy {
                    session.last_used_at = Instant::now();
                } else if session.last_used_at + longest <= Instant::now() {
                    session.end();
                }
            }
        });
    }

    pub(super) fn release(&self, is_usable: bool) {
        let has_crashed = self.node.as_ref().is_some_and(|node| node.has_crashed());
        if is_usable && !has_crashed && !self.pool.places.is_closed() {
            lock(&self.pool.idle).push(self.session.clone());
        } else {
            lock(&self.session).end();
        }
    }
}

fn has_written(row: &Row) -> bool {
    matches!(row, Row::Left(result) if result.rows_affected() > 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
