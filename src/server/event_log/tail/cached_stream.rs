//! Cached position and newest events of one stream, as plain data.

use crate::{
    model::{
        Epoch, Seq,
        stream::{Cursor, ResumeDecision, decide_resume},
    },
    server::{event_log::Replay, live::EncodedEvent, store::StreamState},
};
use std::collections::{BTreeSet, VecDeque};

/// Overdue events remembered as published; an older one that comes again is published again.
const MAX_REMEMBERED_EVENTS: usize = 1_024;

#[derive(Debug)]
pub(super) struct CachedStream {
    pub(super) epoch: Epoch,
    oldest: Seq,
    /// Newest sequence: published on this node, or stored when the stream was loaded.
    pub(super) head: Seq,
    /// Contiguous up to `head`. May be empty.
    pub(super) events: VecDeque<EncodedEvent>,
    /// Head when the stream was loaded. A commit is visible before it is published, so events up to here may be overdue.
    loaded_head: Seq,
    /// Events up to `loaded_head` that were published since loading began.
    published_overdue: BTreeSet<Seq>,
}

/// Place of an event in what was published of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    Next,
    /// Committed before the stream was loaded, and not known to be published.
    Overdue,
    Published,
    AfterGap,
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
            loaded_head: state.head,
            published_overdue: BTreeSet::new(),
        }
    }

    /// The caller publishes an overdue event, which is then remembered as published.
    pub(super) fn place(&mut self, seq: Seq) -> Placement {
        if seq > self.head {
            return if seq == self.head + 1 {
                Placement::Next
            } else {
                Placement::AfterGap
            };
        }
        if self.remember_published(seq) {
            Placement::Overdue
        } else {
            Placement::Published
        }
    }

    /// Returns false if the event was not overdue.
    pub(super) fn remember_published(&mut self, seq: Seq) -> bool {
        if seq > self.loaded_head || !self.published_overdue.insert(seq) {
            return false;
        }
        if self.published_overdue.len() > MAX_REMEMBERED_EVENTS {
            self.published_overdue.pop_first();
        }
        true
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
        let missed = match self.decide_resume(cursor, max_events) {
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

    pub(super) fn decide_resume(&self, cursor: &Cursor, max_events: Seq) -> ResumeDecision {
        decide_resume(&self.epoch, self.head, self.oldest, cursor, max_events)
    }

    /// Returns the number of bytes added.
    pub(super) fn append(&mut self, event: EncodedEvent) -> usize {
        let bytes = event.bytes.len();
        self.head = event.seq;
        self.events.push_back(event);
        bytes
    }

    /// Takes an event that was published while the stream was loaded. Returns the number of bytes added.
    pub(super) fn append_published(&mut self, event: &EncodedEvent) -> usize {
        match self.place(event.seq) {
            Placement::Next => self.append(event.in_epoch(&self.epoch)),
            // After a gap the store is read again.
            Placement::Overdue | Placement::Published | Placement::AfterGap => 0,
        }
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

    /// Moves on to a sequence that was published after a gap. Returns the number of bytes freed.
    pub(super) fn skip_to(&mut self, seq: Seq) -> usize {
        self.head = self.head.max(seq);
        self.trim(0)
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
