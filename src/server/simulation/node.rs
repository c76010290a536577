//! A simulated process: its tasks, its clock and its randomness.
//!
//! A thread-local variable holds the node of the polled task. Without a node, as in other tests, the system's clock and
//! randomness are used.

use crate::model::Millis;
use rand::{RngCore, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tokio::{
    task::{AbortHandle, JoinHandle},
    time::Instant,
};
use uuid::{Builder, Uuid};

/// 2026-01-01T00:00:00Z, in milliseconds.
const START: Millis = 1_767_225_600_000;
/// From this number on, ended tasks are forgotten.
const SWEEP_TASKS: usize = 256;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Node>>> = const { RefCell::new(None) };
}

pub(crate) struct Node {
    started_at: Instant,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    random: StdRng,
    clock_offset: Millis,
    /// Of tasks that are due during a pause.
    wakers: Vec<Waker>,
    tasks: Vec<AbortHandle>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Paused,
    Crashed,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

impl Node {
    /// `started_at` is the start of the simulation, for all nodes.
    pub(crate) fn new(started_at: Instant, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            started_at,
            state: Mutex::new(State {
                phase: Phase::Running,
                random: StdRng::seed_from_u64(seed),
                clock_offset: 0,
                wakers: Vec::new(),
                tasks: Vec::new(),
            }),
        })
    }

    pub(crate) fn run<F: Future>(self: &Arc<Self>, task: F) -> InNode<F> {
        InNode {
            node: self.clone(),
            task: Some(Box::pin(task)),
        }
    }

    /// Spawns a task that ends with this process.
    pub(crate) fn spawn<F>(self: &Arc<Self>, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let spawned = tokio::spawn(self.run(task));
        let mut state = self.lock();
        if state.phase == Phase::Crashed {
            spawned.abort();
        } else {
            if state.tasks.len() >= SWEEP_TASKS {
                state.tasks.retain(|task| !task.is_finished());
            }
            state.tasks.push(spawned.abort_handle());
        }
        drop(state);
        spawned
    }

    /// Stops all tasks until [`Self::resume`], like SIGSTOP.
    pub(crate) fn pause(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Running {
            state.phase = Phase::Paused;
        }
    }

    /// Due tasks run in any order, as on several threads.
    pub(crate) fn resume(&self) {
        let wakers = {
            let mut state = self.lock();
            if state.phase == Phase::Paused {
                state.phase = Phase::Running;
            }
            let mut wakers = std::mem::take(&mut state.wakers);
            wakers.shuffle(&mut state.random);
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends every task, as SIGKILL does.
    pub(crate) fn crash(&self) {
        let tasks = {
            let mut state = self.lock();
            state.phase = Phase::Crashed;
            state.wakers.clear();
            std::mem::take(&mut state.tasks)
        };
        for task in tasks {
            task.abort();
        }
    }

    pub(crate) fn has_crashed(&self) -> bool {
        self.lock().phase == Phase::Crashed
    }

    /// Sets how far the wall clock is ahead, in milliseconds.
    pub(crate) fn set_clock_offset(&self, offset: Millis) {
        self.lock().clock_offset = offset;
    }

    fn true_time(&self) -> Millis {
        let elapsed = self.started_at.elapsed().as_millis();
        START + Millis::try_from(elapsed).unwrap_or(Millis::MAX / 2)
    }

    fn wall_clock(&self) -> Millis {
        self.true_time() + self.lock().clock_offset
    }

    fn new_id(&self) -> Uuid {
        let at = u64::try_from(self.wall_clock()).unwrap_or_default();
        let mut random = [0; 10];
        self.lock().random.fill_bytes(&mut random);
        Builder::from_unix_timestamp_millis(at, &random).into_uuid()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct InNode<F> {
    node: Arc<Node>,
    /// None once dropped.
    task: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for InNode<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        {
            let mut state = self.node.lock();
            match state.phase {
                Phase::Running => {}
                Phase::Paused => {
                    state.wakers.push(context.waker().clone());
                    return Poll::Pending;
                }
                Phase::Crashed => return Poll::Pending,
            }
        }
        let _current = enter(Some(self.node.clone()));
        match &mut self.task {
            Some(task) => task.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for InNode<F> {
    fn drop(&mut self) {
        // What the future drops belongs to the node too.
        let _current = enter(Some(self.node.clone()));
        self.task = None;
    }
}

/// Restores the node that was current before.
struct Entered(Option<Arc<Node>>);

fn enter(node: Option<Arc<Node>>) -> Entered {
    Entered(CURRENT.replace(node))
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

pub(crate) fn current() -> Option<Arc<Node>> {
    CURRENT.with_borrow(Clone::clone)
}

pub(crate) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match current() {
        Some(node) => node.spawn(task),
        None => tokio::spawn(task),
    }
}

/// The current node's time, in milliseconds since 1970.
pub(crate) fn wall_clock() -> Option<Millis> {
    current().map(|node| node.wall_clock())
}

/// The correct time, such as the database's, in milliseconds since 1970.
pub(crate) fn true_time() -> Option<Millis> {
    current().map(|node| node.true_time())
}

pub(crate) fn new_id() -> Option<Uuid> {
    current().map(|node| node.new_id())
}

/// False without a node.
pub(crate) fn fill_bytes(bytes: &mut [u8]) -> bool {
    let node = current();
    if let Some(node) = &node {
        node.lock().random.fill_bytes(bytes);
    }
    node.is_some()
}
