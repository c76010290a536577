//! What a page knows of the live news: which stories it shows, which of them wait to be shown, and from where the stream goes
//! on when the connection is lost.
//!
//! Stories can come twice (a replay after a reconnect) and, after [`Recent::rewind`], older ones after newer ones. Both types
//! here take that as it comes: each story counts once, and a list stays in order.

use super::{
    Cursor, Epoch, Millis, Seq, StoryId,
    story::{NewsPage, Story, Urgency},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A breaking story is announced on every page for this long after it was published, in milliseconds.
pub const BREAKING_FOR: Millis = 60 * 60 * 1_000;
/// A page keeps this many stories that wait; when more come, showing them loads nothing and drops what was shown before.
pub const MOST_WAITING: usize = 100;
/// A page that stays open shows this many stories; the oldest are then behind the link to older ones.
pub const MOST_SHOWN: usize = 200;

/// What the banner says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaking {
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

impl Breaking {
    /// What there is to announce about a story at a moment: nothing unless it is breaking, and not for ever.
    #[must_use]
    pub fn of(story: &Story, now: Millis) -> Option<Self> {
        let fresh = now - story.at <= BREAKING_FOR;
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
pub struct NewsNow {
    /// The live stream goes on from here.
    pub cursor: Cursor,
    /// The newest breaking story, if it is younger than [`BREAKING_FOR`].
    pub breaking: Option<Breaking>,
}

/// The stories that one connection after another has brought to a page, and where the next one goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// Every story after this, up to and including the cursor, is in `stories`.
    since: Seq,
    cursor: Cursor,
    /// Oldest first.
    stories: VecDeque<Story>,
}

impl Recent {
    /// Nothing came yet; the stream goes on after the cursor.
    #[must_use]
    pub fn new(cursor: Cursor) -> Self {
        Self {
            since: cursor.seq,
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
    pub fn hear(&mut self, story: Story) -> bool {
        if story.seq <= self.cursor.seq {
            return false;
        }
        self.cursor.seq = story.seq;
        self.stories.push_back(story);
        if self.stories.len() > MOST_WAITING
            && let Some(dropped) = self.stories.pop_front()
        {
            self.since = dropped.seq;
        }
        true
    }

    /// Makes sure that everything after a page's cursor comes or has come. True when the stream has to be connected anew from
    /// the cursor, which is then the page's: the page was rendered before the stream began, or in another epoch.
    pub fn rewind(&mut self, page: &Cursor) -> bool {
        if page.epoch == self.cursor.epoch && page.seq >= self.since {
            return false;
        }
        *self = Self::new(page.clone());
        true
    }
}

/// How the waiting stories are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reveal {
    /// Above those that are shown.
    OnTop,
    /// Instead of those that are shown, because others between the two were not loaded.
    Instead {
        /// Where the page after them goes on.
        older: Option<Seq>,
        /// Whether more were missed than are counted.
        or_more: bool,
    },
}

/// How many stories wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// So many.
    pub count: usize,
    /// And perhaps more, which were not loaded.
    pub or_more: bool,
}

/// The list on the news page: what is shown stays where it is until the reader asks for what waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headlines {
    epoch: Epoch,
    topic: Option<String>,
    /// Newest first.
    shown: Vec<Story>,
    older: Option<Seq>,
    /// Newest first.
    waiting: Vec<Story>,
    /// Counts also those that wait no longer because too many do.
    count: usize,
    reveal: Reveal,
    /// Everything up to here is accounted for: shown, waiting, or behind the link to older ones.
    known: Seq,
}

impl Headlines {
    /// A page as the server rendered it.
    #[must_use]
    pub fn new(page: NewsPage) -> Self {
        Self {
            epoch: page.epoch,
            topic: page.topic,
            shown: page.stories,
            older: page.older,
            waiting: Vec::new(),
            count: 0,
            reveal: Reveal::OnTop,
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
    pub fn older(&self) -> Option<Seq> {
        self.older
    }

    /// How many stories wait.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let or_more = matches!(self.reveal, Reveal::Instead { or_more: true, .. });
        Waiting {
            count: self.count,
            or_more,
        }
    }

    /// Takes a story from the stream. True if it waits now and did not before.
    pub fn hear(&mut self, story: &Story) -> bool {
        let asked_for = self
            .topic
            .as_ref()
            .is_none_or(|topic| *topic == story.topic);
        if !asked_for || story.seq <= self.known || self.has(story) {
            return false;
        }
        let place = self
            .waiting
            .partition_point(|waiting| waiting.seq > story.seq);
        self.waiting.insert(place, story.clone());
        self.count += 1;
        if self.waiting.len() > MOST_WAITING
            && let Some(dropped) = self.waiting.pop()
        {
            self.known = dropped.seq;
            let older = self.waiting.last().map(|last| last.seq);
            let or_more = self.waiting().or_more;
            self.reveal = Reveal::Instead { older, or_more };
        }
        true
    }

    fn has(&self, story: &Story) -> bool {
        let mut all = self.shown.iter().chain(&self.waiting);
        all.any(|known| known.id == story.id)
    }

    /// Takes the first page anew, after the stream could not be resumed. What is shown stays; what is new waits.
    pub fn refresh(&mut self, page: NewsPage) {
        let same_log = page.epoch == self.epoch;
        let new: Vec<Story> = page
            .stories
            .iter()
            .filter(|story| !self.has(story))
            .cloned()
            .collect();
        // Stories of another log have other sequences, so nothing that is shown can stand beside them.
        let hole = !same_log || (new.len() == page.stories.len() && page.older.is_some());
        self.epoch = page.epoch;
        self.known = page.head;
        if !same_log && new.is_empty() {
            self.shown = page.stories;
            self.older = page.older;
            return;
        }
        if new.is_empty() {
            return;
        }
        if hole {
            self.count = new.len();
            self.waiting = page.stories;
            let or_more = page.older.is_some();
            self.reveal = Reveal::Instead {
                older: page.older,
                or_more,
            };
        } else {
            self.count += new.len();
            self.waiting.extend(new);
            self.waiting
                .sort_by_key(|story| std::cmp::Reverse(story.seq));
        }
    }

    /// Shows what waits, and returns how many stories that are.
    pub fn reveal(&mut self) -> usize {
        let mut revealed = std::mem::take(&mut self.waiting);
        let count = revealed.len();
        self.count = 0;
        match std::mem::replace(&mut self.reveal, Reveal::OnTop) {
            Reveal::OnTop => revealed.append(&mut self.shown),
            Reveal::Instead { older, .. } => self.older = older,
        }
        if revealed.len() > MOST_SHOWN {
            revealed.truncate(MOST_SHOWN);
            self.older = revealed.last().map(|last| last.seq);
        }
        self.shown = revealed;
        count
    }
}

#[cfg(test)]
mod tests;
