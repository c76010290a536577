//! Writing to many sockets from few tasks.
//!
//! A connection with something to write asks its shard, which writes for all of them in turn. So a story that goes to ten
//! thousand readers wakes as many tasks as there are cores, and what is pushed while a shard is on its round is written with the
//! next. A socket that takes no more gets a task of its own until it does; nobody waits for it.

use super::send_queue::SendQueue;
use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};
use tokio::{sync::Notify, task::yield_now};

/// So many pieces are written before other tasks of the thread get their turn: about a tenth of a millisecond's work, whether they are for
/// many sockets or, after a restart, a hundred for each.
const FRAMES_PER_YIELD: u64 = 128;
/// A socket that has nothing to be written, or takes nothing, is work too: as much as so many pieces.
const SOCKET_COST_FRAMES: u64 = 4;

/// All shards: one for each core.
#[derive(Debug)]
pub struct Flusher {
    shards: Vec<Arc<Shard>>,
    next: AtomicUsize,
}

/// What one task writes for.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Outlets that have something to write, each once.
    pending: Mutex<Vec<Arc<SendQueue>>>,
    /// Wakes the task: by whoever adds the first.
    wake: Notify,
    /// How many pieces were written.
    frames_written: AtomicU64,
}

impl Flusher {
    /// Starts the shards, on the runtime it is called in. They end with it.
    #[must_use]
    pub fn start() -> Self {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        let flusher = Self::with_shards(cores);
        for shard in &flusher.shards {
            tokio::spawn(shard.clone().run());
        }
        flusher
    }

    fn with_shards(count: usize) -> Self {
        Self {
            shards: (0..count).map(|_| Arc::default()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// How many pieces were written to sockets so far.
    #[must_use]
    pub fn frames_written(&self) -> u64 {
        let shards = self.shards.iter();
        shards
            .map(|shard| shard.frames_written.load(Ordering::Relaxed))
            .sum()
    }

    /// A shard for another connection, in turn.
    pub(super) fn assign_shard(&self) -> Arc<Shard> {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        self.shards[at].clone()
    }
}

/// One shard that nothing runs: for outlets without sockets, in tests.
#[cfg(test)]
impl Default for Flusher {
    fn default() -> Self {
        Self::with_shards(1)
    }
}

impl Shard {
    /// Writes for an outlet soon. It asks once, and again only after it was written for.
    pub(super) fn schedule(&self, outlet: Arc<SendQueue>) {
        let mut due = self.lock();
        due.push(outlet);
        if due.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// So many pieces more were written.
    pub(super) fn add_frames_written(&self, pieces: u64) {
        self.frames_written.fetch_add(pieces, Ordering::Relaxed);
    }

    async fn run(self: Arc<Self>) {
        let mut round = Vec::new();
        loop {
            std::mem::swap(&mut round, &mut *self.lock());
            if round.is_empty() {
                self.wake.notified().await;
                continue;
            }
            let mut work = 0;
            for outlet in round.drain(..) {
                let before = self.frames_written.load(Ordering::Relaxed);
                if !outlet.flush() {
                    tokio::spawn(outlet.drain());
                }
                // What another task wrote meanwhile is counted as well, which does no harm.
                work += SOCKET_COST_FRAMES + self.frames_written.load(Ordering::Relaxed) - before;
                if work >= FRAMES_PER_YIELD {
                    work = 0;
                    yield_now().await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<SendQueue>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
