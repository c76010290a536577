//! In-memory tail of each stream: its newest events, encoded, for clients that resume.
//!
//! After a restart nearly all clients missed the same events: the first resume reads the store, the others the tail. A
//! tail grows back only as far as requested. Past the common bound in bytes, the least recently used drop their events.

mod cached_stream;

use super::Replay;
use crate::{
    model::{
        Epoch, Seq,
        stream::{Cursor, ResumeDecision, decide_resume},
    },
    server::{
        error::Result,
        live::EncodedEvent,
        store::{Store, Stream, StreamState},
    },
};
use cached_stream::{CachedStream, ReplayLookup, is_contiguous};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

const MAX_CACHED_BYTES: usize = 32 * 1024 * 1024;
const MAX_CATCH_UP_EVENTS: Seq = 256;

#[derive(Debug)]
pub(super) struct Tails {
    by_stream: Mutex<HashMap<Stream, Arc<Tail>>>,
    /// Of one replay, and therefore of one tail.
    max_events: usize,
    max_bytes: usize,
    bytes: AtomicUsize,
    use_counter: AtomicU64,
}

#[derive(Debug, Default)]
struct Tail {
    /// Held while reading the store, so that later tasks find the result.
    load_lock: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    last_used: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    cached: Option<CachedStream>,
    /// Committed while the stream was first read from the store.
    pending_events: Vec<EncodedEvent>,
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
        }
    }

    /// Caches a committed event and publishes it once, in stream order. `publish` must not block.
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
            state.pending_events.push(event.clone());
            publish(event);
            return PublishOutcome::Published;
        };
        if event.seq <= cached.head {
            return PublishOutcome::Duplicate;
        }
        if event.seq > cached.head + 1 {
            return PublishOutcome::Gap;
        }
        let delta = CacheDelta {
            added_bytes: cached.append(event),
            removed_bytes: cached.trim(self.max_events),
        };
        publish(event);
        drop(state);
        self.apply_delta(delta);
        PublishOutcome::Published
    }

    pub(super) async fn catch_up(
        &self,
        store: &Store,
        stream: Stream,
        mut deliver: impl FnMut(&EncodedEvent),
    ) -> Result<()> {
        let tail = self.get_or_insert_tail(stream);
        let _loading = tail.load_lock.lock().await;
        self.load_state(store, stream, &tail).await?;
        loop {
            let head = |tail: &Tail| tail.lock().cached.as_ref().map(|cached| cached.head);
            let Some(head) = head(&tail) else {
                return Ok(());
            };
            let events = read_events(store, stream, head, MAX_CATCH_UP_EVENTS).await?;
            let Some(last) = events.last().map(|event| event.seq) else {
                return Ok(());
            };
            if !is_contiguous(&events, head) {
                // Publish anyway: an event that cannot be decoded must not block later ones.
                let removed_bytes = tail.lock().cached.as_mut().map_or(0, |cached| {
                    cached.head = cached.head.max(last);
                    cached.trim(0)
                });
                self.bytes.fetch_sub(removed_bytes, Ordering::Relaxed);
                events.iter().for_each(&mut deliver);
                continue;
            }
            for event in &events {
                self.deliver(event, &mut deliver);
            }
        }
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

    pub(super) async fn position(&self, store: &Store, stream: Stream) -> Result<(Epoch, Seq)> {
        let tail = self.get_or_insert_tail(stream);
        if let Some(cached) = &tail.lock().cached {
            return Ok((cached.epoch.clone(), cached.head));
        }
        let _loading = tail.load_lock.lock().await;
        self.load_state(store, stream, &tail).await?;
        let state = tail.lock();
        Ok(match &state.cached {
            Some(cached) => (cached.epoch.clone(), cached.head),
            // Unreachable: the state was just loaded, and is only dropped with the tail.
            None => return Err(sqlx::Error::RowNotFound.into()),
        })
    }

    pub(super) async fn replay(
        &self,
        store: &Store,
        stream: Stream,
        cursor: &Cursor,
    ) -> Result<Replay> {
        let tail = self.get_or_insert_tail(stream);
        if let ReplayLookup::Found(replay) = self.find_replay(&tail, cursor) {
            return Ok(replay);
        }
        let _loading = tail.load_lock.lock().await;
        self.load_state(store, stream, &tail).await?;
        match self.find_replay(&tail, cursor) {
            ReplayLookup::Found(replay) => return Ok(replay),
            ReplayLookup::Missing(after, upto) => {
                let events = read_events(store, stream, after, upto - after).await?;
                let added_bytes = events.iter().map(|event| event.bytes.len()).sum();
                let mut state = tail.lock();
                let joined = state
                    .cached
                    .as_mut()
                    .is_some_and(|cached| cached.prepend(events, after));
                drop(state);
                if joined {
                    self.apply_delta(CacheDelta {
                        added_bytes,
                        removed_bytes: 0,
                    });
                }
            }
            ReplayLookup::NotLoaded | ReplayLookup::Ahead => {}
        }
        match self.find_replay(&tail, cursor) {
            ReplayLookup::Found(replay) => Ok(replay),
            // The tail is briefly behind the store, or was evicted.
            ReplayLookup::Missing(..) | ReplayLookup::NotLoaded | ReplayLookup::Ahead => {
                self.replay_from_store(store, stream, cursor).await
            }
        }
    }

    async fn replay_from_store(
        &self,
        store: &Store,
        stream: Stream,
        cursor: &Cursor,
    ) -> Result<Replay> {
        let StreamState {
            epoch,
            head,
            oldest,
        } = store.find_stream(stream).await?;
        let max_events = self.max_events();
        let ResumeDecision::Recovered { after } =
            decide_resume(&epoch, head, oldest, cursor, max_events)
        else {
            let missed = None;
            return Ok(Replay {
                epoch,
                head,
                missed,
            });
        };
        let events = read_events(store, stream, after, max_events).await?;
        // Before answering "recovered".
        let is_complete = is_contiguous(&events, after);
        Ok(Replay {
            epoch,
            head: events.last().map_or(after, |event| event.seq),
            missed: is_complete.then_some(events),
        })
    }

    async fn load_state(&self, store: &Store, stream: Stream, tail: &Tail) -> Result<()> {
        if tail.lock().cached.is_some() {
            return Ok(());
        }
        let found = store.find_stream(stream).await;
        if found.is_err() {
            self.lock().remove(&stream);
        }
        let mut cached = CachedStream::new(found?);
        let mut added_bytes = 0;
        let mut state = tail.lock();
        for event in std::mem::take(&mut state.pending_events) {
            if event.seq == cached.head + 1 {
                added_bytes += cached.append(&event);
            }
        }
        state.cached = Some(cached);
        drop(state);
        self.apply_delta(CacheDelta {
            added_bytes,
            removed_bytes: 0,
        });
        Ok(())
    }

    fn find_replay(&self, tail: &Tail, cursor: &Cursor) -> ReplayLookup {
        let state = tail.lock();
        let cached = state.cached.as_ref();
        cached.map_or(ReplayLookup::NotLoaded, |cached| {
            cached.find_replay(cursor, self.max_events())
        })
    }

    fn get_or_insert_tail(&self, stream: Stream) -> Arc<Tail> {
        let tail = self.lock().entry(stream).or_default().clone();
        let use_number = self.use_counter.fetch_add(1, Ordering::Relaxed);
        tail.last_used.store(use_number, Ordering::Relaxed);
        tail
    }

    fn max_events(&self) -> Seq {
        Seq::try_from(self.max_events).unwrap_or(Seq::MAX)
    }

    /// The caller must not hold a lock.
    fn apply_delta(
        &self,
        CacheDelta {
            added_bytes,
            removed_bytes,
        }: CacheDelta,
    ) {
        let bytes = self.bytes.fetch_add(added_bytes, Ordering::Relaxed) + added_bytes;
        self.bytes.fetch_sub(removed_bytes, Ordering::Relaxed);
        if bytes.saturating_sub(removed_bytes) > self.max_bytes {
            self.evict();
        }
    }

    /// Drops events until three quarters of the bound are used.
    fn evict(&self) {
        let mut tails: Vec<_> = self.lock().values().cloned().collect();
        tails.sort_by_key(|tail| tail.last_used.load(Ordering::Relaxed));
        for tail in tails {
            if self.bytes.load(Ordering::Relaxed) <= self.max_bytes / 4 * 3 {
                return;
            }
            let removed_bytes = tail
                .lock()
                .cached
                .as_mut()
                .map_or(0, |cached| cached.trim(0));
            self.bytes.fetch_sub(removed_bytes, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Stream, Arc<Tail>>> {
        self.by_stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Skips an event that cannot be encoded, which leaves a gap.
async fn read_events(
    store: &Store,
    stream: Stream,
    after: Seq,
    max_events: Seq,
) -> Result<Vec<EncodedEvent>> {
    let rows = store.list_events(stream, after, max_events).await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        match EncodedEvent::encode(stream, row) {
            Ok(event) => events.push(event),
            Err(error) => {
                tracing::error!(%stream, seq = row.seq, %error, "an event could not be encoded");
            }
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
