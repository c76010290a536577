//! The server, and the network between it and a node.

use super::{
    super::super::{
        engine::SQLITE_SETUP_SQL,
        sqlite::{self, OpenMode},
    },
    super::faults::lost_connection,
    lock,
};
use crate::server::simulation::node::Node;
use futures::executor::block_on;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sqlx::{AnyConnection, Executor};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    time::sleep,
};

/// Statements that only the call leader may run.
const CALL_WRITES: [&str; 2] = ["INSERT INTO calls ", "INSERT INTO group_calls "];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reachability {
    #[default]
    Reachable,
    Slow,
    /// Statements wait until reachable again.
    BlackHole,
    /// Statements and connections fail at once.
    Refused,
}

/// Between a node and the database. Not a `watch` channel, which wakes receivers in random order.
#[derive(Debug, Clone, Default)]
pub(crate) struct DatabaseNetwork(Arc<(Mutex<Reachability>, Notify)>);

impl DatabaseNetwork {
    pub(crate) fn set(&self, reachability: Reachability) {
        let (current, changed) = &*self.0;
        *lock(current) = reachability;
        changed.notify_waiters();
    }

    /// A statement's way to the database or back.
    pub(super) async fn pass(&self, database: &Database) -> Result<(), sqlx::Error> {
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
    pub(crate) is_shared: bool,
    pub(super) write_lock: Arc<AsyncMutex<()>>,
    state: Mutex<State>,
}

pub(super) struct State {
    random: StdRng,
    /// Connections without a session.
    pub(super) spare: Vec<AnyConnection>,
    /// Holders of advisory locks.
    pub(super) locks: BTreeMap<i64, u64>,
    pub(super) next_session: u64,
    /// Began the call leader's latest term.
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

    pub(super) fn connect(&self) -> AnyConnection {
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

    /// Writes of calls after another process's term had begun.
    pub(crate) fn writes_of_former_leaders(&self) -> u64 {
        self.lock().writes_of_former_leaders
    }

    pub(super) fn on_written(&self, sql: &str, node: Option<&Arc<Node>>) {
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

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
