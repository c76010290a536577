//! What a page knows of the live news: which stories it shows, which of them wait to be shown, and from where the stream goes
//! on when the connection is lost.
//!
//! Stories can come twice (a replay after a reconnect) and, after [`Recent::rewind`], older ones after newer ones. Both types
//! here take that as it comes: each story counts once, and a list stays in order.

use super::{
    Cursor, Epoch, Millis, Seq, StoryId,
    story::{Story, StoryListing, Urgency},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A breaking story is announced on every page for this long after it was published, in milliseconds.
pub const BREAKING_TTL: Millis = 60 * 60 * 1_000;
/// A page keeps this many stories that wait; when more come, showing them loads nothing and drops what was shown before.
pub const MAX_PENDING_STORIES: usize = 100;
/// A page that stays open shows this many stories; the oldest are then behind the link to older ones.
pub const MAX_SHOWN_STORIES: usize = 200;

/// What the banner says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakingStory {
    /// Which story: what is dismissed is dismissed by this.
    pub id: StoryId,
    /// Its place in the stream of news.
    pub seq: Seq,
    /// The last part of its address, `/news/{slug}`.
    pub slug: String,
    /// One line of text.
    pub headline: String,
    /// When it was published.
    pub at: Millis,
}

impl BreakingStory {
    /// What there is to announce about a story at a moment: nothing unless it is breaking, and not for ever.
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

/// What every page begins with: where the stream of news stands, and what is breaking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsStatus {
    /// The live stream goes on from here.
    pub cursor: Cursor,
    /// The newest breaking story, if it is younger than [`BREAKING_FOR`].
    pub breaking: Option<BreakingStory>,
}

/// The stories that one connection after another has brought to a page, and where the next one goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentStories {
    /// Every story after this, up to and including the cursor, is in `stories`.
    buffered_since: Seq,
    cursor: Cursor,
    /// Oldest first.
    stories: VecDeque<Story>,
}

impl RecentStories {
    /// Nothing came yet; the stream goes on after the cursor.
    #[must_use]
    pub fn new(cursor: Cursor) -> Self {
        Self {
            buffered_since: cursor.seq,
            cursor,
            stories: VecDeque::new(),
        }
    }

    /// Where the next connection goes on.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// What came, oldest first.
    pub fn stories(&self) -> impl Iterator<Item = &Story> {
        self.stories.iter()
    }

    /// Takes a story from the stream. False if it was here already.
    pub fn receive(&mut self, story: Story) -> bool {
        if story.seq <= self.cursor.seq {
            return false;
        }
        self.cursor.seq = story.seq;
        self.stories.push_back(story);
        if self.stories.len() > MAX_PENDING_STORIES
            && let Some(dropped) = self.stories.pop_front()
        {
            self.buffered_since = dropped.seq;
        }
        true
    }

    /// Makes sure that everything after a page's cursor comes or has come. True when the stream has to be connected anew from
    /// the cursor, which is then the page's: the page was rendered before the stream began, or in another epoch.
    pub fn rewind(&mut self, from: &Cursor) -> bool {
        if from.epoch == self.cursor.epoch && from.seq >= self.buffered_since {
            return false;
        }
        *self = Self::new(from.clone());
        true
    }
}

/// How the waiting stories are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RevealMode {
    /// Above those that are shown.
    Prepend,
    /// Instead of those that are shown, because others between the two were not loaded.
    Replace {
        /// Where the page after them goes on.
        next_before: Option<Seq>,
        /// Whether more were missed than are counted.
        is_lower_bound: bool,
    },
}

/// How many stories wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingCount {
    /// So many.
    pub count: usize,
    /// And perhaps more, which were not loaded.
    pub is_lower_bound: bool,
}

/// The list on the news page: what is shown stays where it is until the reader asks for what waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headlines {
    epoch: Epoch,
    topic: Option<String>,
    /// Newest first.
    shown: Vec<Story>,
    next_before: Option<Seq>,
    /// Newest first.
    pending: Vec<Story>,
    /// Counts also those that wait no longer because too many do.
    pending_count: usize,
    reveal_mode: RevealMode,
    /// Everything up to here is accounted for: shown, waiting, or behind the link to older ones.
    known: Seq,
}

impl Headlines {
    /// A page as the server rendered it.
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

    /// Everything after this has to come from the stream.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch.clone(),
            seq: self.known,
        }
    }

    /// What is shown, newest first.
    #[must_use]
    pub fn shown(&self) -> &[Story] {
        &self.shown
    }

    /// Where the next older page goes on: stories before this sequence.
    #[must_use]
    pub fn next_before(&self) -> Option<Seq> {
        self.next_before
    }

    /// How many stories wait.
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

    /// Takes a story from the stream. True if it waits now and did not before.
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

    /// Takes the first page anew, after the stream could not be resumed. What is shown stays; what is new waits.
    pub fn refresh(&mut self, page: StoryListing) {
        let same_log = page.epoch == self.epoch;
        let new: Vec<Story> = page
            .stories
            .iter()
            .filter(|story| !self.has(story))
            .cloned()
            .collect();
        // Stories of another log have other sequences, so nothing that is shown can stand beside them.
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

    /// Shows what waits, and returns how many stories that are.
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
