//! In-memory tail of each stream: its newest events, encoded, for clients that resume.
//!
//! After a restart nearly all clients missed the same events: the first resume reads the store, the others the tail. A
//! tail loads only what is requested. Past the common bound in bytes, the least recently used drop their events.
//!
//! A tail publishes each event of its stream once and in sequence. Only an event committed before the tail was loaded
//! may come late or twice; none is left out.

mod cached_stream;
mod catch_up;
mod replay;

pub(super) use catch_up::Watched;

use crate::{
    model::{Epoch, Seq},
    server::{
        error::Result,
        live::EncodedEvent,
        store::{EventRow, Store, Stream, StreamState},
        sync::{Mutex, MutexGuard},
    },
};
use cached_stream::{CachedStream, Placement};
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::sync::OwnedMutexGuard;

const MAX_CACHED_BYTES: usize = 32 * 1024 * 1024;
/// Of one stream, while it is loaded. Older ones are dropped: the store has them by then.
const MAX_PENDING_EVENTS: usize = 1_024;

#[derive(Debug)]
pub(super) struct Tails {
    by_stream: Mutex<BTreeMap<Stream, Arc<Tail>>>,
    /// Of one replay, and therefore of one tail.
    max_events: usize,
    max_bytes: usize,
    bytes: AtomicUsize,
    use_counter: AtomicU64,
    /// Serializes reads of topics, to limit the load on the store.
    topic_lock: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Tail {
    /// Held while loading, so that waiting tasks find the result.
    load_lock: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
    last_used: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    cached: Option<CachedStream>,
    /// Published while the stream is loaded.
    pending_events: Vec<EncodedEvent>,
}

pub(super) trait StreamStore: Sync {
    fn find_stream(&self, stream: Stream) -> impl Future<Output = Result<StreamState>> + Send;

    /// Oldest first.
    fn list_events(
        &self,
        stream: Stream,
        after: Seq,
        max_events: Seq,
    ) -> impl Future<Output = Result<Vec<EventRow>>> + Send;
}

impl StreamStore for Store {
    async fn find_stream(&self, stream: Stream) -> Result<StreamState> {
        self.find_stream(stream).await
    }

    async fn list_events(
        &self,
        stream: Stream,
        after: Seq,
        max_events: Seq,
    ) -> Result<Vec<EventRow>> {
        self.list_events(stream, after, max_events).await
    }
}

/// A loaded tail, which no other task loads or removes meanwhile.
struct LoadedTail {
    tail: Arc<Tail>,
    _load_guard: OwnedMutexGuard<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublishOutcome {
    Published,
    Duplicate,
    Gap,
}

#[derive(Debug, Default, Clone, Copy)]
struct CacheDelta {
    added_bytes: usize,
    removed_bytes: usize,
}

impl Tails {
    pub(super) fn new(max_events: Seq) -> Self {
        Self::with_max_bytes(max_events, MAX_CACHED_BYTES)
    }

    fn with_max_bytes(max_events: Seq, max_bytes: usize) -> Self {
        Self {
            by_stream: Mutex::default(),
            max_events: usize::try_from(max_events).unwrap_or(0),
            max_bytes,
            bytes: AtomicUsize::new(0),
            use_counter: AtomicU64::new(0),
            topic_lock: tokio::sync::Mutex::default(),
        }
    }

    /// Caches a committed event and publishes it, in stream order. `publish` must not block.
    pub(super) fn deliver(
        &self,
        event: &EncodedEvent,
        publish: impl FnOnce(&EncodedEvent),
    ) -> PublishOutcome {
        let Some(tail) = self.lock().get(&event.stream).cloned() else {
            publish(event);
            return PublishOutcome::Published;
        };
        let mut state = tail.lock();
        let Some(cached) = &mut state.cached else {
            state.add_pending(event);
            publish(event);
            return PublishOutcome::Published;
        };
        let delta = match cached.place(event.seq) {
            Placement::Published => return PublishOutcome::Duplicate,
            Placement::AfterGap => return PublishOutcome::Gap,
            Placement::Overdue => {
                publish(&event.in_epoch(&cached.epoch));
                CacheDelta::default()
            }
            Placement::Next => {
                let event = event.in_epoch(&cached.epoch);
                publish(&event);
                CacheDelta {
                    added_bytes: cached.append(event),
                    removed_bytes: cached.trim(self.max_events),
                }
            }
        };
        self.count_bytes(delta);
        drop(state);
        self.evict_if_full();
        PublishOutcome::Published
    }

    pub(super) fn heads(&self) -> Vec<(Stream, Seq)> {
        let tails: Vec<_> = self
            .lock()
            .iter()
            .map(|(stream, tail)| (*stream, tail.clone()))
            .collect();
        let heads = tails.into_iter().filter_map(|(stream, tail)| {
            let head = tail.lock().cached.as_ref().map(|cached| cached.head)?;
            Some((stream, head))
        });
        heads.collect()
    }

    pub(super) async fn position(
        &self,
        store: &impl StreamStore,
        stream: Stream,
    ) -> Result<(Epoch, Seq)> {
        let (tail, _) = self.get_or_insert_tail(stream);
        if let Some(position) = tail.position() {
            return Ok(position);
        }
        let loaded = self.load(store, stream).await?;
        // Always found after loading.
        loaded
            .tail
            .position()
            .ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    async fn load(&self, store: &impl StreamStore, stream: Stream) -> Result<LoadedTail> {
        loop {
            let (tail, _) = self.get_or_insert_tail(stream);
            let load_guard = tail.load_lock.clone().lock_owned().await;
            // A task that failed has removed it.
            if !self.is_current(stream, &tail) {
                continue;
            }
            self.load_state(store, stream, &tail).await?;
            return Ok(LoadedTail {
                tail,
                _load_guard: load_guard,
            });
        }
    }

    /// The caller holds the load lock.
    async fn load_state(
        &self,
        store: &impl StreamStore,
        stream: Stream,
        tail: &Arc<Tail>,
    ) -> Result<()> {
        if tail.lock().cached.is_some() {
            return Ok(());
        }
        let found = store.find_stream(stream).await;
        let found = found.inspect_err(|_| self.remove(stream, tail))?;
        let cached = CachedStream::new(found);
        let mut state = tail.lock();
        let added_bytes = state.set_loaded(cached, self.max_events);
        self.count_bytes(CacheDelta {
            added_bytes,
            removed_bytes: 0,
        });
        drop(state);
        self.evict_if_full();
        Ok(())
    }

    fn get_or_insert_tail(&self, stream: Stream) -> (Arc<Tail>, Watched) {
        let mut inserted = Watched::Before;
        let insert = || {
            inserted = Watched::FromNow;
            Arc::default()
        };
        let tail = self.lock().entry(stream).or_insert_with(insert).clone();
        let use_number = self.use_counter.fetch_add(1, Ordering::Relaxed);
        tail.last_used.store(use_number, Ordering::Relaxed);
        (tail, inserted)
    }

    fn is_current(&self, stream: Stream, tail: &Arc<Tail>) -> bool {
        let tails = self.lock();
        tails
            .get(&stream)
            .is_some_and(|current| Arc::ptr_eq(current, tail))
    }

    fn remove(&self, stream: Stream, tail: &Arc<Tail>) {
        let mut tails = self.lock();
        if tails
            .get(&stream)
            .is_some_and(|current| Arc::ptr_eq(current, tail))
        {
            tails.remove(&stream);
        }
    }

    fn max_events(&self) -> Seq {
        Seq::try_from(self.max_events).unwrap_or(Seq::MAX)
    }

    /// The caller holds the tail's lock, so that no uncounted bytes are evicted.
    fn count_bytes(
        &self,
        CacheDelta {
            added_bytes,
            removed_bytes,
        }: CacheDelta,
    ) {
        self.bytes.fetch_add(added_bytes, Ordering::Relaxed);
        let before = self.bytes.fetch_sub(removed_bytes, Ordering::Relaxed);
        debug_assert!(before >= removed_bytes, "bytes that were not counted");
    }

    /// The caller must not hold a lock.
    fn evict_if_full(&self) {
        if self.bytes.load(Ordering::Relaxed) > self.max_bytes {
            self.evict();
        }
    }

    /// Leaves a quarter of the bound free.
    fn evict(&self) {
        let mut tails: Vec<_> = self.lock().values().cloned().collect();
        tails.sort_by_key(|tail| tail.last_used.load(Ordering::Relaxed));
        for tail in tails {
            if self.bytes.load(Ordering::Relaxed) <= self.max_bytes / 4 * 3 {
                return;
            }
            let mut state = tail.lock();
            let cached = state.cached.as_mut();
            self.count_bytes(CacheDelta {
                added_bytes: 0,
                removed_bytes: cached.map_or(0, |cached| cached.trim(0)),
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Stream, Arc<Tail>>> {
        self.by_stream.lock()
    }
}

impl Tail {
    fn position(&self) -> Option<(Epoch, Seq)> {
        let state = self.lock();
        let cached = state.cached.as_ref()?;
        Some((cached.epoch.clone(), cached.head))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn add_pending(&mut self, event: &EncodedEvent) {
        // The task that loads the tail may be gone.
        if self.pending_events.len() >= MAX_PENDING_EVENTS {
            self.pending_events.drain(..MAX_PENDING_EVENTS / 2);
        }
        self.pending_events.push(event.clone());
    }

    /// Returns the number of bytes added.
    fn set_loaded(&mut self, mut cached: CachedStream, max_events: usize) -> usize {
        let mut pending = std::mem::take(&mut self.pending_events);
        // Those of several nodes come in any order.
        pending.sort_by_key(|event| event.seq);
        let added = pending.iter().map(|event| cached.append_published(event));
        let added_bytes: usize = added.sum();
        let removed_bytes = cached.trim(max_events);
        self.cached = Some(cached);
        added_bytes - removed_bytes
    }
}

/// Skips an event that cannot be encoded, which leaves a gap.
async fn read_events(
    store: &impl StreamStore,
    stream: Stream,
    epoch: &Epoch,
    after: Seq,
    max_events: Seq,
) -> Result<Vec<EncodedEvent>> {
    let rows = store.list_events(stream, after, max_events).await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        match EncodedEvent::encode(stream, row) {
            Ok(event) => events.push(event.in_epoch(epoch)),
            Err(error) => {
                tracing::error!(%stream, seq = row.seq, %error, "an event could not be encoded");
            }
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
