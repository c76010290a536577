//! Cached position and newest events of one stream. Appending returns the number of bytes added, dropping that of bytes freed.

use crate::{
    model::{
        Epoch, Seq,
        stream::{Cursor, ResumeDecision, decide_resume},
    },
    server::{event_log::Replay, live::EncodedEvent, store::StreamState},
};
use std::collections::{BTreeSet, VecDeque};

/// Of overdue events; an older one that comes again is published again.
const MAX_REMEMBERED_EVENTS: usize = 1_024;

#[derive(Debug)]
pub(super) struct CachedStream {
    pub(super) epoch: Epoch,
    oldest: Seq,
    /// Newest sequence that was published or loaded.
    pub(super) head: Seq,
    /// Contiguous up to `head`.
    pub(super) events: VecDeque<EncodedEvent>,
    /// Events up to here may be overdue: a commit is visible before it is published.
    loaded_head: Seq,
    /// Events up to `loaded_head` that were published since loading began.
    published_overdue: BTreeSet<Seq>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    Next,
    /// Committed before loading, and not known to be published.
    Overdue,
    Published,
    AfterGap,
}

pub(super) enum ReplayLookup {
    Found(Replay),
    /// The store has events after the first sequence, up to the second.
    Missing(Seq, Seq),
    NotLoaded,
    /// The client saw an unpublished event, or the cursor is wrong.
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

    /// Remembers an overdue event as published: the caller publishes it.
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

    pub(super) fn append(&mut self, event: EncodedEvent) -> usize {
        let bytes = event.bytes.len();
        self.head = event.seq;
        self.events.push_back(event);
        bytes
    }

    /// Takes an event published during loading.
    pub(super) fn append_published(&mut self, event: &EncodedEvent) -> usize {
        match self.place(event.seq) {
            Placement::Next => self.append(event.in_epoch(&self.epoch)),
            // After a gap the store is read again.
            Placement::Overdue | Placement::Published | Placement::AfterGap => 0,
        }
    }

    /// Returns false and changes nothing if a gap would remain.
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

    /// Moves on past a gap.
    pub(super) fn skip_to(&mut self, seq: Seq) -> usize {
        self.head = self.head.max(seq);
        self.trim(0)
    }

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
