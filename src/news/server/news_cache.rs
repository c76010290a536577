//! The cache of the latest news: read from the store once for each published story, however many pages are rendered.

use crate::{
    model::{
        Cursor, Seq,
        headlines::{BREAKING_TTL, BreakingStory, NewsStatus},
        limits,
        story::{Story, StoryListing},
    },
    server::{
        Result, clock,
        event_log::EventLog,
        single_flight::get_or_compute,
        store::{Store, Stream},
    },
};
use quick_cache::sync::Cache;
use std::sync::Arc;

/// The one that is read now, and the one before it, which a few still ask for.
const MAX_CACHED_SNAPSHOTS: usize = 2;

/// The news as it stands after some story.
#[derive(Debug)]
pub struct NewsSnapshot {
    /// The live stream goes on from here.
    cursor: Cursor,
    /// The newest page of all topics.
    stories: Vec<Story>,
    /// From where older ones go on, if there are any.
    older: Option<Seq>,
    topics: Vec<String>,
    /// The newest that was breaking when this was read.
    breaking: Option<Story>,
}

impl NewsSnapshot {
    /// The live stream goes on from here.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Every topic that has a story, by name.
    #[must_use]
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// What every page begins with.
    #[must_use]
    pub fn news_now(&self) -> NewsStatus {
        let breaking = self.breaking.as_ref();
        NewsStatus {
            cursor: self.cursor.clone(),
            breaking: breaking.and_then(|story| BreakingStory::from_story(story, clock::now())),
        }
    }

    /// The newest page of all topics.
    #[must_use]
    pub fn latest_stories(&self) -> StoryListing {
        StoryListing {
            stories: self.stories.clone(),
            epoch: self.cursor.epoch.clone(),
            head: self.cursor.seq,
            next_before: self.older,
            topic: None,
        }
    }

    /// Reads what is newer than `cursor` as well, perhaps: it then comes again over the stream, rather than never.
    async fn load(store: &Store, cursor: Cursor) -> Result<Self> {
        let (page, topics, breaking) = tokio::try_join!(
            read_stories(store, &cursor, None, None),
            store.list_topics(),
            store.find_breaking(clock::now() - BREAKING_TTL),
        )?;
        Ok(Self {
            cursor,
            stories: page.stories,
            older: page.next_before,
            topics,
            breaking,
        })
    }
}

/// A page of stories that no edition holds. A list shows summaries, so their HTML is left out.
async fn read_stories(
    store: &Store,
    cursor: &Cursor,
    topic: Option<String>,
    before: Option<Seq>,
) -> Result<StoryListing> {
    let before = before.unwrap_or(Seq::MAX);
    let one_more = limits::NEWS_PAGE_SIZE + 1;
    let mut stories = store
        .list_stories(topic.as_deref(), before, one_more)
        .await?;
    let most = usize::try_from(limits::NEWS_PAGE_SIZE).unwrap_or(usize::MAX);
    let has_older = stories.len() > most;
    stories.truncate(most);
    for story in &mut stories {
        story.html.clear();
    }
    let older = stories.last().map(|last| last.seq).filter(|_| has_older);
    Ok(StoryListing {
        stories,
        epoch: cursor.epoch.clone(),
        head: cursor.seq,
        next_before: older,
        topic,
    })
}

/// The editions. Where the stream of news stands is known without asking the store; an edition of before that is never given.
#[derive(Debug)]
pub struct NewsCache {
    store: Store,
    event_log: EventLog,
    snapshots: Cache<Cursor, Arc<NewsSnapshot>>,
}

impl NewsCache {
    /// Nothing is read before the first page is asked for.
    #[must_use]
    pub fn new(store: Store, log: EventLog) -> Self {
        Self {
            store,
            event_log: log,
            snapshots: Cache::new(MAX_CACHED_SNAPSHOTS),
        }
    }

    /// The news as it stands. After a story, the first who asks has it read, and who asks meanwhile waits for that.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn latest_snapshot(&self) -> Result<Arc<NewsSnapshot>> {
        let cursor = self.cursor().await?;
        get_or_compute(&self.snapshots, &cursor, async {
            let read = NewsSnapshot::load(&self.store, cursor.clone()).await;
            read.map(Arc::new)
        })
        .await
    }

    /// A page of stories, of one topic or of all, before a sequence or the newest.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_stories(
        &self,
        topic: Option<String>,
        before: Option<Seq>,
    ) -> Result<StoryListing> {
        if topic.is_none() && before.is_none() {
            return Ok(self.latest_snapshot().await?.latest_stories());
        }
        // The stream first: a story published in between comes again over it rather than never.
        let cursor = self.cursor().await?;
        read_stories(&self.store, &cursor, topic, before).await
    }

    async fn cursor(&self) -> Result<Cursor> {
        let (epoch, seq) = self.event_log.position(Stream::News).await?;
        Ok(Cursor { epoch, seq })
    }
}
