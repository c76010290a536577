//! A database server of the simulation: a real SQLite file, reached over a network that delays, cuts and loses.
//!
//! Statements run at one moment of the paused clock. Programs that share the database share one lock for writing, as on
//! SQLite; like PostgreSQL, it ends a session that stays idle in a transaction.

use super::{
    super::{
        engine::SQLITE_SETUP_SQL,
        sqlite::{self, OpenMode},
    },
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
use rand::{Rng, SeedableRng, rngs::StdRng};
use sqlx::{Any, AnyConnection, Execute, Executor, error::DatabaseError};
use std::{
    collections::BTreeMap,
    error, fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until, timeout},
};

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// `busy_timeout` of SQLite, `lock_timeout` of PostgreSQL.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// `idle_in_transaction_session_timeout` of PostgreSQL.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(4);
/// Longer than the deadline of a statement.
const LATE_COMMIT_DELAY: Duration = Duration::from_secs(9);

/// In the statements that only the call leader may run.
const CALL_WRITES: [&str; 2] = ["INSERT INTO calls ", "INSERT INTO group_calls "];

/// How a node reaches the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reachability {
    #[default]
    Reachable,
    /// Statements take long, and their answers too.
    Slow,
    /// Statements wait until it is reachable again.
    BlackHole,
    /// Statements and connections fail at once.
    Refused,
}

/// The network between a node and the database. Not a `watch` channel, which wakes its receivers in random order.
#[derive(Debug, Clone, Default)]
pub(crate) struct DatabaseNetwork(Arc<(Mutex<Reachability>, Notify)>);

impl DatabaseNetwork {
    pub(crate) fn set(&self, reachability: Reachability) {
        let (current, changed) = &*self.0;
        *lock(current) = reachability;
        changed.notify_waiters();
    }

    /// A statement's way to the database, or back. Fails if the connection is refused.
    async fn pass(&self, database: &Database) -> Result<(), sqlx::Error> {
        let (current, changed) = &*self.0;
        loop {
            let notified = changed.notified();
            let reachability = *lock(current);
            match reachability {
                Reachability::Reachable | Reachability::Slow => {
                    sleep(database.draw_delay(reachability)).await;
                    return Ok(());
                }
                Reachability::Refused => return Err(lost_connection()),
                Reachability::BlackHole => notified.await,
            }
        }
    }
}

pub(crate) struct Database {
    file: PathBuf,
    /// Whether several programs use it.
    pub(crate) is_shared: bool,
    write_lock: Arc<AsyncMutex<()>>,
    state: Mutex<State>,
}

struct State {
    random: StdRng,
    /// Connections without a session.
    spare: Vec<AnyConnection>,
    /// Holders of advisory locks.
    locks: BTreeMap<i64, u64>,
    next_session: u64,
    /// The process that began the latest term of the call leader.
    call_leader: Option<Arc<Node>>,
    writes_of_former_leaders: u64,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    pub(crate) fn open(file: &Path, is_shared: bool, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            file: file.to_owned(),
            is_shared,
            write_lock: Arc::default(),
            state: Mutex::new(State {
                random: StdRng::seed_from_u64(seed),
                spare: Vec::new(),
                locks: BTreeMap::new(),
                next_session: 0,
                call_leader: None,
                writes_of_former_leaders: 0,
            }),
        })
    }

    fn connect(&self) -> AnyConnection {
        if let Some(spare) = self.lock().spare.pop() {
            return spare;
        }
        block_on(async {
            let mut connection = sqlite::connect(&self.file, OpenMode::Create).await.unwrap();
            connection.execute(SQLITE_SETUP_SQL).await.unwrap();
            // Nothing survives the simulation.
            let setup = "PRAGMA synchronous = OFF";
            connection.execute(setup).await.unwrap();
            connection
        })
    }

    /// Writes of calls that took effect after another process had begun a term as their leader.
    pub(crate) fn writes_of_former_leaders(&self) -> u64 {
        self.lock().writes_of_former_leaders
    }

    /// Takes note of a statement that changed something.
    fn on_written(&self, sql: &str, node: Option<&Arc<Node>>) {
        let Some(node) = node.filter(|_| self.is_shared) else {
            return;
        };
        let mut state = self.lock();
        if sql.contains("INSERT INTO leases ") {
            state.call_leader = Some(node.clone());
        } else if CALL_WRITES.iter().any(|write| sql.contains(write)) {
            let leads = state.call_leader.as_ref();
            let is_leader = leads.is_some_and(|leader| Arc::ptr_eq(leader, node));
            state.writes_of_former_leaders += u64::from(!is_leader);
        }
    }

    fn draw_delay(&self, reachability: Reachability) -> Duration {
        let micros = match reachability {
            Reachability::Slow => 1_000..600_000,
            Reachability::Reachable | Reachability::BlackHole | Reachability::Refused => 100..2_000,
        };
        Duration::from_micros(self.lock().random.random_range(micros))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node's connections to the database for one purpose.
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

/// The database's side of a connection.
struct Session {
    number: u64,
    /// None once the session has ended.
    connection: Option<AnyConnection>,
    write_guard: Option<OwnedMutexGuard<()>>,
    last_used_at: Instant,
    /// A statement runs or waits.
    is_busy: bool,
    /// Holds an advisory lock, and writes.
    is_lease: bool,
    database: Weak<Database>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
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
                // Without a lock, the session is in a transaction already.
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

    /// None if the session may write already, or does not write.
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

    /// The `COMMIT` takes effect, after the client has given up.
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
        // A task of the database, not of the node.
        tokio::spawn(async move {
            sleep(LATE_COMMIT_DELAY).await;
            let _ = block_on(connection.execute("COMMIT"));
            database.lock().spare.push(connection);
            drop(guard);
        });
    }

    /// Takes an advisory lock, which lasts until the session ends, or is idle for `expiry`.
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

    /// Ends the session once it has been idle for that long in a transaction, or with an advisory lock.
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

    /// Returns the connection to its pool, or closes it.
    pub(super) fn release(&self, is_usable: bool) {
        let has_crashed = self.node.as_ref().is_some_and(|node| node.has_crashed());
        if is_usable && !has_crashed && !self.pool.places.is_closed() {
            lock(&self.pool.idle).push(self.session.clone());
        } else {
            lock(&self.session).end();
        }
    }
}

impl Session {
    /// Rolls back and releases all locks.
    fn end(&mut self) {
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

/// A statement that runs or waits.
struct Busy(Arc<Mutex<Session>>);

impl Busy {
    fn begin(session: &Arc<Mutex<Session>>) -> Self {
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

fn has_written(row: &Row) -> bool {
    matches!(row, Row::Left(result) if result.rows_affected() > 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `SQLITE_BUSY`.
#[derive(Debug)]
struct Locked;

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("database is locked")
    }
}

impl error::Error for Locked {}

impl DatabaseError for Locked {
    fn message(&self) -> &'static str {
        "database is locked"
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some("5".into())
    }

    fn as_error(&self) -> &(dyn error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}
