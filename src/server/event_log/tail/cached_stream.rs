//! Cached position and newest events of one stream, as plain data.

use crate::{
    model::{
        Epoch, Seq,
        stream::{Cursor, ResumeDecision, decide_resume},
    },
    server::{event_log::Replay, live::EncodedEvent, store::StreamState},
};
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct CachedStream {
    pub(super) epoch: Epoch,
    oldest: Seq,
    /// Newest sequence published on this node.
    pub(super) head: Seq,
    /// Contiguous up to `head`. May be empty.
    pub(super) events: VecDeque<EncodedEvent>,
}

pub(super) enum ReplayLookup {
    Found(Replay),
    /// Events after the first sequence, up to the second, must be read from the store.
    Missing(Seq, Seq),
    NotLoaded,
    /// The client saw an event before it was published, or the cursor is wrong.
    Ahead,
}

impl CachedStream {
    pub(super) fn new(state: StreamState) -> Self {
        Self {
            epoch: state.epoch,
            oldest: state.oldest,
            head: state.head,
            events: VecDeque::new(),
        }
    }

    /// Sequence after which all events are cached.
    fn cached_after(&self) -> Seq {
        let cached = Seq::try_from(self.events.len()).unwrap_or(Seq::MAX);
        self.head - cached
    }

    pub(super) fn find_replay(&self, cursor: &Cursor, max_events: Seq) -> ReplayLookup {
        if self.epoch == cursor.epoch && cursor.seq > self.head {
            return ReplayLookup::Ahead;
        }
        let missed = match decide_resume(&self.epoch, self.head, self.oldest, cursor, max_events) {
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

    /// Returns the number of bytes added.
    pub(super) fn append(&mut self, event: &EncodedEvent) -> usize {
        self.head = event.seq;
        self.events.push_back(event.clone());
        event.bytes.len()
    }

    /// Returns false, and changes nothing, if this would leave a gap.
    pub(super) fn prepend(&mut self, events: Vec<EncodedEvent>, after: Seq) -> bool {
        let joins = is_contiguous(&events, after)
            && events.last().map_or(after, |last| last.seq) == self.cached_after();
        if joins {
            for event in events.into_iter().rev() {
                self.events.push_front(event);
            }
        }
        joins
    }

    /// Returns the number of bytes freed.
    pub(super) fn trim(&mut self, max_events: usize) -> usize {
        let surplus = self.events.len().saturating_sub(max_events);
        self.events
            .drain(..surplus)
            .map(|event| event.bytes.len())
            .sum()
    }
}

pub(super) fn is_contiguous(events: &[EncodedEvent], after: Seq) -> bool {
    let expected = after + 1..;
    events
        .iter()
        .zip(expected)
        .all(|(event, seq)| event.seq == seq)
}
