//! The tail of each stream in memory: what those who come back have missed, encoded as they will get it.
//!
//! After a restart everybody comes back at once, and nearly all have missed the same. The first who asks has the store read; the
//! others find it here. A tail grows at its end with what is committed, and at its beginning only as far back as somebody asked,
//! so a stream that nobody resumes costs nothing. All tails together are bounded in bytes; past that the ones that were not asked
//! for the longest forget their events and read them again when asked.

use super::Replay;
use crate::{
    model::{
        Epoch, Seq,
        stream::{Cursor, Resume, resume},
    },
    server::{
        error::Result,
        live::Event,
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

/// How much all tails together may hold, in bytes.
const BUDGET: usize = 32 * 1024 * 1024;
/// How many events are read at once to catch up with the store.
const AT_ONCE: Seq = 256;

/// All tails.
#[derive(Debug)]
pub(super) struct Tails {
    by_stream: Mutex<HashMap<Stream, Arc<Tail>>>,
    /// The most events that one resume is answered with, and so that a tail keeps.
    most: usize,
    budget: usize,
    /// Of all events that are kept.
    bytes: AtomicUsize,
    /// Counts the resumes, to know which tail was asked last.
    asked: AtomicU64,
}

/// The tail of one stream.
#[derive(Debug, Default)]
struct Tail {
    /// Held by whoever reads the store for it; who comes after finds what was read.
    reading: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    asked: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// What was committed while the store was being read for the first time.
    meanwhile: Vec<Event>,
}

/// What is known of a stream.
#[derive(Debug)]
struct Known {
    epoch: Epoch,
    oldest: Seq,
    /// The newest sequence that was told to those who listen.
    head: Seq,
    /// The newest events, up to `head`, without a hole. May be none.
    events: VecDeque<Event>,
}

/// What became of an event that was to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It was told.
    Now,
    /// It had been told.
    Before,
    /// There is a hole before it: the tail has to catch up with the store.
    Not,
}

/// How many bytes more and fewer are kept.
#[derive(Debug, Default, Clone, Copy)]
struct Change {
    more: usize,
    fewer: usize,
}

/// What a tail answers.
enum Answer {
    Replay(Replay),
    /// The store has to be asked for what comes after this sequence, and up to that.
    Missing(Seq, Seq),
    /// The store has to be asked where the stream stands.
    Unknown,
    /// Whoever asks has seen something that is committed and not told yet, or claims so.
    Ahead,
}

impl Known {
    fn new(state: StreamState) -> Self {
        Self {
            epoch: state.epoch,
            oldest: state.oldest,
            head: state.head,
            events: VecDeque::new(),
        }
    }

    /// The sequence after which everything is here.
    fn after(&self) -> Seq {
        let kept = Seq::try_from(self.events.len()).unwrap_or(Seq::MAX);
        self.head - kept
    }

    fn answer(&self, cursor: &Cursor, most: Seq) -> Answer {
        if self.epoch == cursor.epoch && cursor.seq > self.head {
            return Answer::Ahead;
        }
        let missed = match resume(&self.epoch, self.head, self.oldest, cursor, most) {
            Resume::Resync => None,
            Resume::Recovered { after } if after < self.after() => {
                return Answer::Missing(after, self.after());
            }
            Resume::Recovered { after } => {
                let skipped = usize::try_from(after - self.after()).unwrap_or(usize::MAX);
                Some(self.events.iter().skip(skipped).cloned().collect())
            }
        };
        Answer::Replay(Replay {
            epoch: self.epoch.clone(),
            head: self.head,
            missed,
        })
    }

    /// Adds the next event. How many bytes more are kept.
    fn append(&mut self, event: &Event) -> usize {
        self.head = event.seq;
        self.events.push_back(event.clone());
        event.bytes.len()
    }

    /// Puts older events in front. False, and nothing is done, unless they reach to what is here without a hole.
    fn prepend(&mut self, events: Vec<Event>, after: Seq) -> bool {
        let whole = is_whole(&events, after)
            && events.last().map_or(after, |last| last.seq) == self.after();
        if whole {
            for event in events.into_iter().rev() {
                self.events.push_front(event);
            }
        }
        whole
    }

    /// Forgets what is more than so many events. How many bytes fewer are kept.
    fn trim(&mut self, most: usize) -> usize {
        let surplus = self.events.len().saturating_sub(most);
        self.events
            .drain(..surplus)
            .map(|event| event.bytes.len())
            .sum()
    }
}

/// Whether these are the events after a sequence, each of them.
fn is_whole(events: &[Event], after: Seq) -> bool {
    let expected = after + 1..;
    events
        .iter()
        .zip(expected)
        .all(|(event, seq)| event.seq == seq)
}

impl Tails {
    /// Tails that answer a resume with at most `most` events.
    pub(super) fn new(most: Seq) -> Self {
        Self::within(most, BUDGET)
    }

    fn within(most: Seq, budget: usize) -> Self {
        Self {
            by_stream: Mutex::default(),
            most: usize::try_from(most).unwrap_or(0),
            budget,
            bytes: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
        }
    }

    /// Adds what was committed and has it told to those who listen, in the order of its stream and once. Who begins to listen in
    /// between finds it here. `tell` must not wait.
    pub(super) fn tell(&self, event: &Event, tell: impl FnOnce(&Event)) -> Told {
        let Some(tail) = self.lock().get(&event.stream).cloned() else {
            tell(event);
            return Told::Now;
        };
        let mut state = tail.lock();
        let Some(known) = &mut state.known else {
            state.meanwhile.push(event.clone());
            tell(event);
            return Told::Now;
        };
        if event.seq <= known.head {
            return Told::Before;
        }
        if event.seq > known.head + 1 {
            return Told::Not;
        }
        let more = known.append(event);
        let fewer = known.trim(self.most);
        tell(event);
        drop(state);
        self.count(Change { more, fewer });
        Told::Now
    }

    /// Tells what is in the store and was not told: what another node committed and this one never heard of.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub(super) async fn catch_up(
        &self,
        store: &Store,
        stream: Stream,
        mut tell: impl FnMut(&Event),
    ) -> Result<()> {
        let tail = self.tail(stream);
        let _reading = tail.reading.lock().await;
        self.know(store, stream, &tail).await?;
        loop {
            let head = |tail: &Tail| tail.lock().known.as_ref().map(|known| known.head);
            let Some(head) = head(&tail) else {
                return Ok(());
            };
            let events = read(store, stream, head, AT_ONCE).await?;
            let Some(last) = events.last().map(|event| event.seq) else {
                return Ok(());
            };
            if !is_whole(&events, head) {
                // Told all the same: an event that cannot be read must not hold up what comes after it.
                let forgotten = tail.lock().known.as_mut().map_or(0, |known| {
                    known.head = known.head.max(last);
                    known.trim(0)
                });
                self.bytes.fetch_sub(forgotten, Ordering::Relaxed);
                events.iter().for_each(&mut tell);
                continue;
            }
            for event in &events {
                self.tell(event, &mut tell);
            }
        }
    }

    /// The streams that somebody listens to or resumed, and what was told of them.
    pub(super) fn heads(&self) -> Vec<(Stream, Seq)> {
        let tails: Vec<_> = self
            .lock()
            .iter()
            .map(|(stream, tail)| (*stream, tail.clone()))
            .collect();
        let heads = tails.into_iter().filter_map(|(stream, tail)| {
            let head = tail.lock().known.as_ref().map(|known| known.head)?;
            Some((stream, head))
        });
        heads.collect()
    }

    /// Where a stream stands for those who listen here: its epoch and the newest sequence that was told.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub(super) async fn stand(&self, store: &Store, stream: Stream) -> Result<(Epoch, Seq)> {
        let tail = self.tail(stream);
        if let Some(known) = &tail.lock().known {
            return Ok((known.epoch.clone(), known.head));
        }
        let _reading = tail.reading.lock().await;
        self.know(store, stream, &tail).await?;
        let state = tail.lock();
        Ok(match &state.known {
            Some(known) => (known.epoch.clone(), known.head),
            // It was there a moment ago, and is only ever forgotten with the tail.
            None => return Err(sqlx::Error::RowNotFound.into()),
        })
    }

    /// What somebody missed in a stream, all of it or nothing.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub(super) async fn replay(
        &self,
        store: &Store,
        stream: Stream,
        cursor: &Cursor,
    ) -> Result<Replay> {
        let tail = self.tail(stream);
        if let Answer::Replay(replay) = self.answer(&tail, cursor) {
            return Ok(replay);
        }
        let _reading = tail.reading.lock().await;
        self.know(store, stream, &tail).await?;
        match self.answer(&tail, cursor) {
            Answer::Replay(replay) => return Ok(replay),
            Answer::Missing(after, upto) => {
                let events = read(store, stream, after, upto - after).await?;
                let more = events.iter().map(|event| event.bytes.len()).sum();
                let mut state = tail.lock();
                let read = state
                    .known
                    .as_mut()
                    .is_some_and(|known| known.prepend(events, after));
                drop(state);
                if read {
                    self.count(Change { more, fewer: 0 });
                }
            }
            Answer::Unknown | Answer::Ahead => {}
        }
        match self.answer(&tail, cursor) {
            Answer::Replay(replay) => Ok(replay),
            // The tail is behind the store for a moment, or has forgotten again what was just read: the store knows.
            Answer::Missing(..) | Answer::Unknown | Answer::Ahead => {
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
        let most = self.most();
        let Resume::Recovered { after } = resume(&epoch, head, oldest, cursor, most) else {
            let missed = None;
            return Ok(Replay {
                epoch,
                head,
                missed,
            });
        };
        let events = read(store, stream, after, most).await?;
        // The last word before saying "recovered": what was read is what comes after the cursor, without a hole.
        let whole = is_whole(&events, after);
        Ok(Replay {
            epoch,
            head: events.last().map_or(after, |event| event.seq),
            missed: whole.then_some(events),
        })
    }

    /// Finds out where a stream stands, if that is not known yet.
    async fn know(&self, store: &Store, stream: Stream, tail: &Tail) -> Result<()> {
        if tail.lock().known.is_some() {
            return Ok(());
        }
        let found = store.find_stream(stream).await;
        if found.is_err() {
            // Nothing gathers for a stream that may not exist.
            self.lock().remove(&stream);
        }
        let mut known = Known::new(found?);
        let mut more = 0;
        let mut state = tail.lock();
        for event in std::mem::take(&mut state.meanwhile) {
            if event.seq == known.head + 1 {
                more += known.append(&event);
            }
        }
        state.known = Some(known);
        drop(state);
        self.count(Change { more, fewer: 0 });
        Ok(())
    }

    fn answer(&self, tail: &Tail, cursor: &Cursor) -> Answer {
        let state = tail.lock();
        let known = state.known.as_ref();
        known.map_or(Answer::Unknown, |known| known.answer(cursor, self.most()))
    }

    fn tail(&self, stream: Stream) -> Arc<Tail> {
        let tail = self.lock().entry(stream).or_default().clone();
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        tail.asked.store(asked, Ordering::Relaxed);
        tail
    }

    fn most(&self) -> Seq {
        Seq::try_from(self.most).unwrap_or(Seq::MAX)
    }

    /// Counts what is kept. To be called without a lock.
    fn count(&self, Change { more, fewer }: Change) {
        let bytes = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        self.bytes.fetch_sub(fewer, Ordering::Relaxed);
        if bytes.saturating_sub(fewer) > self.budget {
            self.forget();
        }
    }

    /// Forgets the events of the tails that were not asked for the longest, until three quarters of the budget are left.
    fn forget(&self) {
        let mut tails: Vec<_> = self.lock().values().cloned().collect();
        tails.sort_by_key(|tail| tail.asked.load(Ordering::Relaxed));
        for tail in tails {
            if self.bytes.load(Ordering::Relaxed) <= self.budget / 4 * 3 {
                return;
            }
            let fewer = tail.lock().known.as_mut().map_or(0, |known| known.trim(0));
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

/// Reads events as they go out. One that cannot be encoded is left out, which is then seen as a hole.
async fn read(store: &Store, stream: Stream, after: Seq, most: Seq) -> Result<Vec<Event>> {
    let rows = store.list_events(stream, after, most).await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        match Event::encode(stream, row) {
            Ok(event) => events.push(event),
            Err(error) => {
                tracing::error!(%stream, seq = row.seq, %error, "an event cannot be read");
            }
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
