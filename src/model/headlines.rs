//! Live news in the browser: shown and pending stories, and the cursor.
//!
//! Each story counts once, in order, however it arrives. After a gap the stream resumes, so that none is passed over.

use super::{
    Cursor, Epoch, Millis, Seq, StoryId,
    story::{Story, StoryListing, Urgency},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// For the banner on every page, in milliseconds.
pub const BREAKING_TTL: Millis = 60 * 60 * 1_000;
/// Pending stories kept. With more, revealing them replaces the list.
pub const MAX_PENDING_STORIES: usize = 100;
/// Stories on a page; older ones are on the next.
pub const MAX_SHOWN_STORIES: usize = 200;

/// The story in the breaking news banner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakingStory {
    /// Key of a stored dismissal.
    pub id: StoryId,
    pub seq: Seq,
    pub slug: String,
    pub headline: String,
    pub at: Millis,
}

impl BreakingStory {
    /// Whether it was published after `shown`. Times may be equal, or of different clocks.
    #[must_use]
    pub fn is_newer_than(&self, shown: &Self) -> bool {
        self.seq > shown.seq
    }

    /// `None` unless it is breaking and at most [`BREAKING_TTL`] old.
    #[must_use]
    pub fn from_story(story: &Story, now: Millis) -> Option<Self> {
        let fresh = now - story.at <= BREAKING_TTL;
        match story.urgency {
            Urgency::Breaking if fresh => Some(Self {
                id: story.id,
                seq: story.seq,
                slug: story.slug.clone(),
                headline: story.headline.clone(),
                at: story.at,
            }),
            Urgency::Breaking | Urgency::Normal => None,
        }
    }
}

/// The news with which every page starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsStatus {
    /// Where the live stream continues.
    pub cursor: Cursor,
    /// At most [`BREAKING_TTL`] old.
    pub breaking: Option<BreakingStory>,
}

/// What receiving a streamed story meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveOutcome {
    Added,
    Duplicate,
    /// Stories before it are missing: resume from [`RecentStories::cursor`].
    Gap,
}

/// Stories received over all connections of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentStories {
    /// `stories` has every later story, up to and including the cursor.
    buffered_since: Seq,
    cursor: Cursor,
    stories: VecDeque<Story>,
}

impl RecentStories {
    /// An empty buffer after the cursor.
    #[must_use]
    pub fn new(cursor: Cursor) -> Self {
        Self {
            buffered_since: cursor.seq,
            cursor,
            stories: VecDeque::new(),
        }
    }

    /// Cursor for the next connection.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Buffered stories, oldest first.
    pub fn stories(&self) -> impl Iterator<Item = &Story> {
        self.stories.iter()
    }

    /// Receives a story of the stream of all topics. The cursor stays before a gap.
    pub fn receive(&mut self, story: Story) -> ReceiveOutcome {
        if story.seq <= self.cursor.seq {
            return ReceiveOutcome::Duplicate;
        }
        if story.seq > self.cursor.seq + 1 {
            return ReceiveOutcome::Gap;
        }
        self.cursor.seq = story.seq;
        self.stories.push_back(story);
        if self.stories.len() > MAX_PENDING_STORIES
            && let Some(dropped) = self.stories.pop_front()
        {
            self.buffered_since = dropped.seq;
        }
        ReceiveOutcome::Added
    }

    /// Ensures that every story after `from` is buffered or will arrive.
    ///
    /// True if the stream has to reconnect, from that cursor.
    pub fn rewind(&mut self, from: &Cursor) -> bool {
        if from.epoch == self.cursor.epoch && from.seq >= self.buffered_since {
            return false;
        }
        *self = Self::new(from.clone());
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RevealMode {
    Prepend,
    /// Stories in between were not loaded.
    Replace {
        next_before: Option<Seq>,
        is_lower_bound: bool,
    },
}

/// Number of pending stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingCount {
    pub count: usize,
    /// More were missed, and not loaded.
    pub is_lower_bound: bool,
}

/// The news list. Shown stories do not move until the reader asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headlines {
    epoch: Epoch,
    topic: Option<String>,
    shown: Vec<Story>,
    next_before: Option<Seq>,
    /// Newest first.
    pending: Vec<Story>,
    /// Includes those dropped from `pending`.
    pending_count: usize,
    reveal_mode: RevealMode,
    /// Every story up to here is shown, pending, or on an older page.
    known: Seq,
}

impl Headlines {
    /// The list as the server rendered it.
    #[must_use]
    pub fn new(page: StoryListing) -> Self {
        Self {
            epoch: page.epoch,
            topic: page.topic,
            shown: page.stories,
            next_before: page.next_before,
            pending: Vec::new(),
            pending_count: 0,
            reveal_mode: RevealMode::Prepend,
            known: page.head,
        }
    }

    /// The stream delivers every later story.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch.clone(),
            seq: self.known,
        }
    }

    /// Shown stories, newest first.
    #[must_use]
    pub fn shown(&self) -> &[Story] {
        &self.shown
    }

    /// Pending stories that are loaded, newest first.
    #[must_use]
    pub fn pending(&self) -> &[Story] {
        &self.pending
    }

    /// The next older page starts before this sequence; `None` on the last page.
    #[must_use]
    pub fn next_before(&self) -> Option<Seq> {
        self.next_before
    }

    #[must_use]
    pub fn pending_count(&self) -> PendingCount {
        let or_more = matches!(
            self.reveal_mode,
            RevealMode::Replace {
                is_lower_bound: true,
                ..
            }
        );
        PendingCount {
            count: self.pending_count,
            is_lower_bound: or_more,
        }
    }

    /// True if the story is newly pending.
    pub fn receive(&mut self, story: &Story) -> bool {
        let asked_for = self
            .topic
            .as_ref()
            .is_none_or(|topic| *topic == story.topic);
        if !asked_for || story.seq <= self.known || self.has(story) {
            return false;
        }
        let place = self
            .pending
            .partition_point(|waiting| waiting.seq > story.seq);
        self.pending.insert(place, story.clone());
        self.pending_count += 1;
        if self.pending.len() > MAX_PENDING_STORIES
            && let Some(dropped) = self.pending.pop()
        {
            self.known = dropped.seq;
            let older = self.pending.last().map(|last| last.seq);
            let or_more = self.pending_count().is_lower_bound;
            self.reveal_mode = RevealMode::Replace {
                next_before: older,
                is_lower_bound: or_more,
            };
        }
        true
    }

    fn has(&self, story: &Story) -> bool {
        let mut all = self.shown.iter().chain(&self.pending);
        all.any(|known| known.id == story.id)
    }

    /// Merges a first page after a failed resume; new stories become pending.
    pub fn refresh(&mut self, page: StoryListing) {
        let same_log = page.epoch == self.epoch;
        let new: Vec<Story> = page
            .stories
            .iter()
            .filter(|story| !self.has(story))
            .cloned()
            .collect();
        // Sequences of two epochs have no order.
        let hole = !same_log || (new.len() == page.stories.len() && page.next_before.is_some());
        self.epoch = page.epoch;
        self.known = page.head;
        if !same_log && new.is_empty() {
            self.shown = page.stories;
            self.next_before = page.next_before;
            return;
        }
        if new.is_empty() {
            return;
        }
        if hole {
            self.pending_count = new.len();
            self.pending = page.stories;
            let or_more = page.next_before.is_some();
            self.reveal_mode = RevealMode::Replace {
                next_before: page.next_before,
                is_lower_bound: or_more,
            };
        } else {
            self.pending_count += new.len();
            self.pending.extend(new);
            self.pending
                .sort_by_key(|story| std::cmp::Reverse(story.seq));
        }
    }

    /// Shows the pending stories; returns their number.
    pub fn reveal(&mut self) -> usize {
        let mut revealed = std::mem::take(&mut self.pending);
        let count = revealed.len();
        self.pending_count = 0;
        match std::mem::replace(&mut self.reveal_mode, RevealMode::Prepend) {
            RevealMode::Prepend => revealed.append(&mut self.shown),
            RevealMode::Replace {
                next_before: older, ..
            } => self.next_before = older,
        }
        if revealed.len() > MAX_SHOWN_STORIES {
            revealed.truncate(MAX_SHOWN_STORIES);
            self.next_before = revealed.last().map(|last| last.seq);
        }
        self.shown = revealed;
        count
    }
}

#[cfg(test)]
mod tests;
