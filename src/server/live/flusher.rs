//! Tasks that write to all sockets: one shard for each core.
//!
//! A connection with queued frames is scheduled on its shard, so a story for ten thousand readers wakes one task for
//! each core. A blocked socket gets its own task, to delay no others.

use super::send_queue::SendQueue;
use crate::server::{
    sync::{Mutex, MutexGuard},
    task,
};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};
use tokio::{sync::Notify, task::yield_now};

/// About a tenth of a millisecond of work.
const FRAMES_PER_YIELD: u64 = 128;
const SOCKET_COST_FRAMES: u64 = 4;

/// All shards.
#[derive(Debug)]
pub struct Flusher {
    shards: Vec<Arc<Shard>>,
    next: AtomicUsize,
}

/// Connections that one task writes for.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Each queue at most once.
    pending: Mutex<Vec<Arc<SendQueue>>>,
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
            task::spawn(shard.clone().run());
        }
        flusher
    }

    fn with_shards(count: usize) -> Self {
        Self {
            shards: (0..count).map(|_| Arc::default()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// Frames written to sockets so far.
    #[must_use]
    pub fn frames_written(&self) -> u64 {
        let shards = self.shards.iter();
        shards
            .map(|shard| shard.frames_written.load(Ordering::Relaxed))
            .sum()
    }

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
    pub(super) fn schedule(&self, send_queue: Arc<SendQueue>) {
        let mut due = self.lock();
        due.push(send_queue);
        if due.len() == 1 {
            self.wake.notify_one();
        }
    }

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
                    task::spawn(send_queue.drain());
                }
                work += SOCKET_COST_FRAMES + self.frames_written.load(Ordering::Relaxed) - before;
                if work >= FRAMES_PER_YIELD {
                    work = 0;
                    yield_now().await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<SendQueue>>> {
        self.pending.lock()
    }
}
