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
mod tests {
    use super::*;
    use uuid::Uuid;

    fn story(seq: Seq) -> Story {
        Story {
            id: StoryId(Uuid::from_u128(u128::try_from(seq).unwrap())),
            slug: format!("story-{seq}"),
            headline: format!("Story {seq}"),
            summary: String::new(),
            html: String::new(),
            topic: "General".into(),
            urgency: Urgency::Normal,
            byline: "Ada".into(),
            at: seq,
            seq,
        }
    }

    fn cursor(epoch: &str, seq: Seq) -> Cursor {
        Cursor {
            epoch: Epoch(epoch.into()),
            seq,
        }
    }

    fn page(epoch: &str, newest_first: &[Seq], head: Seq, older: Option<Seq>) -> NewsPage {
        NewsPage {
            stories: newest_first.iter().copied().map(story).collect(),
            epoch: Epoch(epoch.into()),
            head,
            older,
            topic: None,
        }
    }

    fn seqs(stories: &[Story]) -> Vec<Seq> {
        stories.iter().map(|story| story.seq).collect()
    }

    fn waiting(count: usize) -> Waiting {
        Waiting {
            count,
            or_more: false,
        }
    }

    #[test]
    fn what_comes_live_waits_until_it_is_asked_for() {
        let mut list = Headlines::new(page("a", &[3, 2], 3, Some(2)));
        assert!(list.hear(&story(4)) && list.hear(&story(5)));
        assert_eq!(seqs(list.shown()), [3, 2], "nothing that is read moves");
        assert_eq!(list.waiting(), waiting(2));
        assert_eq!(list.reveal(), 2);
        assert_eq!(seqs(list.shown()), [5, 4, 3, 2]);
        assert_eq!((list.waiting(), list.older()), (waiting(0), Some(2)));
    }

    #[test]
    fn a_story_counts_once_however_often_it_comes() {
        let mut list = Headlines::new(page("a", &[3], 3, None));
        assert!(!list.hear(&story(3)) && list.hear(&story(4)) && !list.hear(&story(4)));
        list.reveal();
        assert!(!list.hear(&story(4)), "also when it is shown by now");
        assert_eq!(list.waiting(), waiting(0));
    }

    #[test]
    fn an_older_story_may_come_after_a_newer_one() {
        let mut list = Headlines::new(page("a", &[3], 3, None));
        assert!(list.hear(&story(5)) && list.hear(&story(4)));
        list.reveal();
        assert_eq!(seqs(list.shown()), [5, 4, 3]);
    }

    #[test]
    fn stories_of_other_topics_do_not_count() {
        let mut asked = page("a", &[3], 3, None);
        asked.topic = Some("Sports".into());
        let mut list = Headlines::new(asked);
        assert!(!list.hear(&story(4)));
        let sports = Story {
            topic: "Sports".into(),
            ..story(5)
        };
        assert!(list.hear(&sports));
    }

    #[test]
    fn too_many_waiting_are_counted_whole_and_shown_without_a_hole() {
        let mut list = Headlines::new(page("a", &[3], 3, None));
        let most = Seq::try_from(MOST_WAITING).unwrap();
        let newest = 3 + most + 5;
        for seq in 4..=newest {
            assert!(list.hear(&story(seq)));
        }
        assert_eq!(list.waiting(), waiting(MOST_WAITING + 5));
        assert!(!list.hear(&story(4)), "a replay of one that was dropped");
        list.reveal();
        assert_eq!(list.shown().first().map(|story| story.seq), Some(newest));
        assert_eq!(list.shown().len(), MOST_WAITING);
        assert_eq!(
            list.older(),
            Some(newest - most + 1),
            "the others are behind the link"
        );
    }

    #[test]
    fn a_page_that_stays_open_does_not_grow_for_ever() {
        let mut list = Headlines::new(page("a", &[1], 1, None));
        let most = Seq::try_from(MOST_SHOWN).unwrap();
        for seq in 2..=most + 10 {
            list.hear(&story(seq));
            list.reveal();
        }
        assert_eq!(list.shown().len(), MOST_SHOWN);
        assert_eq!(list.older(), Some(11), "the ten oldest are behind the link");
    }

    #[test]
    fn after_a_resync_what_was_missed_waits_on_top() {
        let mut list = Headlines::new(page("a", &[3, 2], 3, None));
        list.hear(&story(4));
        list.refresh(page("a", &[6, 5, 4, 3, 2], 6, None));
        assert_eq!(seqs(list.shown()), [3, 2]);
        assert_eq!(list.waiting(), waiting(3));
        list.reveal();
        assert_eq!(seqs(list.shown()), [6, 5, 4, 3, 2]);
    }

    #[test]
    fn after_a_long_absence_the_fresh_page_comes_instead_of_a_list_with_a_hole() {
        let mut list = Headlines::new(page("a", &[3, 2], 3, Some(2)));
        list.refresh(page("a", &[90, 89, 88], 90, Some(88)));
        assert_eq!(
            list.waiting(),
            Waiting {
                count: 3,
                or_more: true
            }
        );
        assert_eq!(list.cursor(), cursor("a", 90));
        list.reveal();
        assert_eq!(
            (seqs(list.shown()), list.older()),
            (vec![90, 89, 88], Some(88))
        );
    }

    #[test]
    fn another_epoch_replaces_the_list_when_the_reader_asks_for_it() {
        let mut list = Headlines::new(page("a", &[30, 20], 30, Some(20)));
        list.refresh(page("b", &[2, 1], 2, None));
        assert_eq!(seqs(list.shown()), [30, 20]);
        assert_eq!(list.waiting().count, 2);
        assert!(
            list.hear(&story(3)),
            "and the stream goes on in the new one"
        );
        list.reveal();
        assert_eq!((seqs(list.shown()), list.older()), (vec![3, 2, 1], None));
    }

    #[test]
    fn the_same_stories_under_another_epoch_are_no_news() {
        let mut list = Headlines::new(page("a", &[2, 1], 2, None));
        list.refresh(page("b", &[2, 1], 2, None));
        assert_eq!(list.waiting(), waiting(0));
        assert_eq!(list.cursor(), cursor("b", 2));
    }

    #[test]
    fn the_stream_goes_on_after_the_last_story_heard() {
        let mut recent = Recent::new(cursor("a", 3));
        assert!(recent.hear(story(4)) && recent.hear(story(5)) && !recent.hear(story(5)));
        assert_eq!(*recent.cursor(), cursor("a", 5));
        assert_eq!(
            recent.stories().map(|story| story.seq).collect::<Vec<_>>(),
            [4, 5]
        );
    }

    #[test]
    fn a_page_older_than_the_stream_takes_the_stream_back() {
        let mut recent = Recent::new(cursor("a", 6));
        recent.hear(story(7));
        assert!(!recent.rewind(&cursor("a", 6)) && !recent.rewind(&cursor("a", 9)));
        assert!(recent.rewind(&cursor("a", 5)), "6 would be missing");
        assert_eq!(*recent.cursor(), cursor("a", 5));
        assert!(recent.hear(story(6)));
        assert!(recent.rewind(&cursor("b", 6)), "another log");
    }

    #[test]
    fn what_was_forgotten_has_to_be_asked_for_again() {
        let mut recent = Recent::new(cursor("a", 0));
        let most = Seq::try_from(MOST_WAITING).unwrap();
        for seq in 1..=most + 2 {
            recent.hear(story(seq));
        }
        assert!(!recent.rewind(&cursor("a", 2)) && recent.rewind(&cursor("a", 1)));
    }

    #[test]
    fn only_fresh_breaking_stories_are_announced() {
        let breaking = Story {
            urgency: Urgency::Breaking,
            ..story(5)
        };
        assert_eq!(Breaking::of(&breaking, 5).map(|said| said.seq), Some(5));
        assert_eq!(Breaking::of(&breaking, 6 + BREAKING_FOR), None);
        assert_eq!(Breaking::of(&story(5), 5), None);
    }
}
