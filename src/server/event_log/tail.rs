//! In-memory tail of each stream: its newest events, encoded, for clients that resume.
//!
//! After a restart nearly all clients have missed the same events: the first resume reads the store, the others the
//! tail. A tail grows back only as far as a client requested. All together are bounded in bytes; past that the least
//! recently used drop their events.

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
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// Bytes of all tails together.
const MAX_CACHED_BYTES: usize = 32 * 1024 * 1024;
const MAX_CATCH_UP_EVENTS: Seq = 256;

/// The tails of all streams.
#[derive(Debug)]
pub(super) struct Tails {
    by_stream: Mutex<HashMap<Stream, Arc<Tail>>>,
    /// Of one replay, and therefore of one tail.
    max_events: usize,
    max_bytes: usize,
    /// Total size of all cached events.
    bytes: AtomicUsize,
    /// Finds the least recently used tail.
    use_counter: AtomicU64,
}

/// The tail of one stream.
#[derive(Debug, Default)]
struct Tail {
    /// Held while a task reads the store, so that later ones find the result.
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

#[derive(Debug)]
struct CachedStream {
    epoch: Epoch,
    oldest: Seq,
    /// Newest sequence published on this node.
    head: Seq,
    /// Newest events up to `head`, without a gap; may be empty.
    events: VecDeque<EncodedEvent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublishOutcome {
    /// The event was published.
    Published,
    /// The event had been published before.
    Duplicate,
    /// Earlier events are missing.
    Gap,
}

/// Change of the cached size, in bytes.
#[derive(Debug, Default, Clone, Copy)]
struct CacheDelta {
    added_bytes: usize,
    removed_bytes: usize,
}

enum ReplayLookup {
    Found(Replay),
    /// Events after the first, up to the second sequence must be read from the store.
    Missing(Seq, Seq),
    NotLoaded,
    /// The cursor is past the head: an event seen before it was published, or a wrong cursor.
    Ahead,
}

impl CachedStream {
    fn new(state: StreamState) -> Self {
        Self {
            epoch: state.epoch,
            oldest: state.oldest,
            head: state.head,
            events: VecDeque::new(),
        }
    }

    /// Sequence after which all events are cached.
    fn cached_after(&self) -> Seq {
        let kept = Seq::try_from(self.events.len()).unwrap_or(Seq::MAX);
        self.head - kept
    }

    fn find_replay(&self, cursor: &Cursor, most: Seq) -> ReplayLookup {
        if self.epoch == cursor.epoch && cursor.seq > self.head {
            return ReplayLookup::Ahead;
        }
        let missed = match decide_resume(&self.epoch, self.head, self.oldest, cursor, most) {
            ResumeDecision::Resync => None,
            ResumeDecision::Recovered { after } if after < self.cached_after() => {
                return ReplayLookup::Missing(after, self.cached_after());
            }
            ResumeDecision::Recovered { after } => {
                let skipped = usize::try_from(after - self.cached_after()).unwrap_or(usize::MAX);
                Some(self.events.iter().skip(skipped).cloned().collect())
            }
        };
        ReplayLookup::Found(Replay {
            epoch: self.epoch.clone(),
            head: self.head,
            missed,
        })
    }

    /// Returns the bytes added.
    fn append(&mut self, event: &EncodedEvent) -> usize {
        self.head = event.seq;
        self.events.push_back(event.clone());
        event.bytes.len()
    }

    /// Returns false, and changes nothing, if they do not join the cached events without a gap.
    fn prepend(&mut self, events: Vec<EncodedEvent>, after: Seq) -> bool {
        let whole = is_contiguous(&events, after)
            && events.last().map_or(after, |last| last.seq) == self.cached_after();
        if whole {
            for event in events.into_iter().rev() {
                self.events.push_front(event);
            }
        }
        whole
    }

    /// Drops the oldest beyond `most` and returns the bytes freed.
    fn trim(&mut self, most: usize) -> usize {
        let surplus = self.events.len().saturating_sub(most);
        self.events
            .drain(..surplus)
            .map(|event| event.bytes.len())
            .sum()
    }
}

/// Whether the events are contiguous and start right after a sequence.
fn is_contiguous(events: &[EncodedEvent], after: Seq) -> bool {
    let expected = after + 1..;
    events
        .iter()
        .zip(expected)
        .all(|(event, seq)| event.seq == seq)
}

impl Tails {
    /// Tails that replay at most `most` events.
    pub(super) fn new(most: Seq) -> Self {
        Self::with_max_bytes(most, MAX_CACHED_BYTES)
    }

    fn with_max_bytes(most: Seq, budget: usize) -> Self {
        Self {
            by_stream: Mutex::default(),
            max_events: usize::try_from(most).unwrap_or(0),
            max_bytes: budget,
            bytes: AtomicUsize::new(0),
            use_counter: AtomicU64::new(0),
        }
    }

    /// Caches an event and publishes it through `tell`, once and in order. `tell` must not block.
    pub(super) fn deliver(
        &self,
        event: &EncodedEvent,
        tell: impl FnOnce(&EncodedEvent),
    ) -> PublishOutcome {
        let Some(tail) = self.lock().get(&event.stream).cloned() else {
            tell(event);
            return PublishOutcome::Published;
        };
        let mut state = tail.lock();
        let Some(known) = &mut state.cached else {
            state.pending_events.push(event.clone());
            tell(event);
            return PublishOutcome::Published;
        };
        if event.seq <= known.head {
            return PublishOutcome::Duplicate;
        }
        if event.seq > known.head + 1 {
            return PublishOutcome::Gap;
        }
        let more = known.append(event);
        let fewer = known.trim(self.max_events);
        tell(event);
        drop(state);
        self.apply_delta(CacheDelta {
            added_bytes: more,
            removed_bytes: fewer,
        });
        PublishOutcome::Published
    }

    /// Publishes stored events of another node whose bus message was lost.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub(super) async fn catch_up(
        &self,
        store: &Store,
        stream: Stream,
        mut deliver: impl FnMut(&EncodedEvent),
    ) -> Result<()> {
        let tail = self.get_or_insert_tail(stream);
        let _reading = tail.load_lock.lock().await;
        self.load_state(store, stream, &tail).await?;
        loop {
            let head = |tail: &Tail| tail.lock().cached.as_ref().map(|known| known.head);
            let Some(head) = head(&tail) else {
                return Ok(());
            };
            let events = read_events(store, stream, head, MAX_CATCH_UP_EVENTS).await?;
            let Some(last) = events.last().map(|event| event.seq) else {
                return Ok(());
            };
            if !is_contiguous(&events, head) {
                // An event that cannot be decoded must not block later ones.
                let forgotten = tail.lock().cached.as_mut().map_or(0, |known| {
                    known.head = known.head.max(last);
                    known.trim(0)
                });
                self.bytes.fetch_sub(forgotten, Ordering::Relaxed);
                events.iter().for_each(&mut deliver);
                continue;
            }
            for event in &events {
                self.deliver(event, &mut deliver);
            }
        }
    }

    /// Newest published sequence of each loaded stream.
    pub(super) fn heads(&self) -> Vec<(Stream, Seq)> {
        let tails: Vec<_> = self
            .lock()
            .iter()
            .map(|(stream, tail)| (*stream, tail.clone()))
            .collect();
        let heads = tails.into_iter().filter_map(|(stream, tail)| {
            let head = tail.lock().cached.as_ref().map(|known| known.head)?;
            Some((stream, head))
        });
        heads.collect()
    }

    /// Epoch and newest published sequence of a stream.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub(super) async fn position(&self, store: &Store, stream: Stream) -> Result<(Epoch, Seq)> {
        let tail = self.get_or_insert_tail(stream);
        if let Some(known) = &tail.lock().cached {
            return Ok((known.epoch.clone(), known.head));
        }
        let _reading = tail.load_lock.lock().await;
        self.load_state(store, stream, &tail).await?;
        let state = tail.lock();
        Ok(match &state.cached {
            Some(known) => (known.epoch.clone(), known.head),
            // Unreachable: the state was just loaded and goes only with the tail.
            None => return Err(sqlx::Error::RowNotFound.into()),
        })
    }

    /// All events of a stream after a cursor, or none of them.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
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
        let _reading = tail.load_lock.lock().await;
        self.load_state(store, stream, &tail).await?;
        match self.find_replay(&tail, cursor) {
            ReplayLookup::Found(replay) => return Ok(replay),
            ReplayLookup::Missing(after, upto) => {
                let events = read_events(store, stream, after, upto - after).await?;
                let more = events.iter().map(|event| event.bytes.len()).sum();
                let mut state = tail.lock();
                let read = state
                    .cached
                    .as_mut()
                    .is_some_and(|known| known.prepend(events, after));
                drop(state);
                if read {
                    self.apply_delta(CacheDelta {
                        added_bytes: more,
                        removed_bytes: 0,
                    });
                }
            }
            ReplayLookup::NotLoaded | ReplayLookup::Ahead => {}
        }
        match self.find_replay(&tail, cursor) {
            ReplayLookup::Found(replay) => Ok(replay),
            // The tail is briefly behind the store, or was evicted; the store is authoritative.
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
        let most = self.max_events();
        let ResumeDecision::Recovered { after } = decide_resume(&epoch, head, oldest, cursor, most)
        else {
            let missed = None;
            return Ok(Replay {
                epoch,
                head,
                missed,
            });
        };
        let events = read_events(store, stream, after, most).await?;
        // "Recovered" is answered only if nothing is missing.
        let whole = is_contiguous(&events, after);
        Ok(Replay {
            epoch,
            head: events.last().map_or(after, |event| event.seq),
            missed: whole.then_some(events),
        })
    }

    async fn load_state(&self, store: &Store, stream: Stream, tail: &Tail) -> Result<()> {
        if tail.lock().cached.is_some() {
            return Ok(());
        }
        let found = store.find_stream(stream).await;
        if found.is_err() {
            // The stream may not exist: collect no events for it.
            self.lock().remove(&stream);
        }
        let mut known = CachedStream::new(found?);
        let mut more = 0;
        let mut state = tail.lock();
        for event in std::mem::take(&mut state.pending_events) {
            if event.seq == known.head + 1 {
                more += known.append(&event);
            }
        }
        state.cached = Some(known);
        drop(state);
        self.apply_delta(CacheDelta {
            added_bytes: more,
            removed_bytes: 0,
        });
        Ok(())
    }

    fn find_replay(&self, tail: &Tail, cursor: &Cursor) -> ReplayLookup {
        let state = tail.lock();
        let known = state.cached.as_ref();
        known.map_or(ReplayLookup::NotLoaded, |known| {
            known.find_replay(cursor, self.max_events())
        })
    }

    fn get_or_insert_tail(&self, stream: Stream) -> Arc<Tail> {
        let tail = self.lock().entry(stream).or_default().clone();
        let asked = self.use_counter.fetch_add(1, Ordering::Relaxed);
        tail.last_used.store(asked, Ordering::Relaxed);
        tail
    }

    fn max_events(&self) -> Seq {
        Seq::try_from(self.max_events).unwrap_or(Seq::MAX)
    }

    /// Must be called without holding a lock.
    fn apply_delta(
        &self,
        CacheDelta {
            added_bytes: more,
            removed_bytes: fewer,
        }: CacheDelta,
    ) {
        let bytes = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        self.bytes.fetch_sub(fewer, Ordering::Relaxed);
        if bytes.saturating_sub(fewer) > self.max_bytes {
            self.evict();
        }
    }

    /// Drops events of the least recently used until three quarters of the bound are used.
    fn evict(&self) {
        let mut tails: Vec<_> = self.lock().values().cloned().collect();
        tails.sort_by_key(|tail| tail.last_used.load(Ordering::Relaxed));
        for tail in tails {
            if self.bytes.load(Ordering::Relaxed) <= self.max_bytes / 4 * 3 {
                return;
            }
            let fewer = tail.lock().cached.as_mut().map_or(0, |known| known.trim(0));
            self.bytes.fetch_sub(fewer, Ordering::Relaxed);
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

/// An event that cannot be encoded is skipped, which leaves a gap.
async fn read_events(
    store: &Store,
    stream: Stream,
    after: Seq,
    most: Seq,
) -> Result<Vec<EncodedEvent>> {
    let rows = store.list_events(stream, after, most).await?;
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
