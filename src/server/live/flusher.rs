//! Tasks that write to all sockets: one shard for each core.
//!
//! A connection with queued frames schedules itself on its shard, which writes for its connections in turn: a story for
//! ten thousand readers wakes as many tasks as there are cores. A socket that blocks gets a task of its own, so it does
//! not delay the others.

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

/// Before the task yields: about a tenth of a millisecond of work.
const FRAMES_PER_YIELD: u64 = 128;
/// Visiting one socket costs as much as these frames.
const SOCKET_COST_FRAMES: u64 = 4;

/// All shards, one for each core.
#[derive(Debug)]
pub struct Flusher {
    shards: Vec<Arc<Shard>>,
    next: AtomicUsize,
}

/// A group of connections that one task writes for.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Queues with something to write, each at most once.
    pending: Mutex<Vec<Arc<SendQueue>>>,
    /// Wakes the task when the first queue is added.
    wake: Notify,
    frames_written: AtomicU64,
}

impl Flusher {
    /// Starts the shards on the current runtime. They end with it.
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

    /// Number of frames written to sockets so far.
    #[must_use]
    pub fn frames_written(&self) -> u64 {
        let shards = self.shards.iter();
        shards
            .map(|shard| shard.frames_written.load(Ordering::Relaxed))
            .sum()
    }

    /// Picks the shard of a new connection, round robin.
    pub(super) fn assign_shard(&self) -> Arc<Shard> {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        self.shards[at].clone()
    }
}

/// One shard without a task, for queues without sockets.
#[cfg(test)]
impl Default for Flusher {
    fn default() -> Self {
        Self::with_shards(1)
    }
}

impl Shard {
    /// Schedules a queue for writing. A queue is scheduled again only after it was flushed.
    pub(super) fn schedule(&self, send_queue: Arc<SendQueue>) {
        let mut due = self.lock();
        due.push(send_queue);
        if due.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// Adds to the number of frames written.
    pub(super) fn add_frames_written(&self, frames: u64) {
        self.frames_written.fetch_add(frames, Ordering::Relaxed);
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
            for send_queue in round.drain(..) {
                let before = self.frames_written.load(Ordering::Relaxed);
                if !send_queue.flush() {
                    tokio::spawn(send_queue.drain());
                }
                // This includes frames that other tasks wrote meanwhile, which is harmless.
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
