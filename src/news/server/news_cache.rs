//! Cache of the latest news.

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

/// One is for requests that started before the current snapshot.
const MAX_CACHED_SNAPSHOTS: usize = 2;

/// The latest news at one position of the stream.
#[derive(Debug)]
pub struct NewsSnapshot {
    cursor: Cursor,
    stories: Vec<Story>,
    /// Older stories are before this sequence.
    older: Option<Seq>,
    topics: Vec<String>,
    breaking: Option<Story>,
}

impl NewsSnapshot {
    /// The cursor to resume the live stream from.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The topics with a story, by name.
    #[must_use]
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// The stream's cursor and the breaking story.
    #[must_use]
    pub fn news_now(&self) -> NewsStatus {
        let breaking = self.breaking.as_ref();
        NewsStatus {
            cursor: self.cursor.clone(),
            breaking: breaking.and_then(|story| BreakingStory::from_story(story, clock::now())),
        }
    }

    /// The newest page of stories.
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

    /// May include stories after `cursor`: delivered twice rather than never.
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

/// Without HTML: lists show summaries.
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

/// Snapshots by cursor, which is known without a query, so none is outdated.
#[derive(Debug)]
pub struct NewsCache {
    store: Store,
    event_log: EventLog,
    snapshots: Cache<Cursor, Arc<NewsSnapshot>>,
}

impl NewsCache {
    /// An empty cache.
    #[must_use]
    pub fn new(store: Store, log: EventLog) -> Self {
        Self {
            store,
            event_log: log,
            snapshots: Cache::new(MAX_CACHED_SNAPSHOTS),
        }
    }

    /// The latest news, read once after a new story.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn latest_snapshot(&self) -> Result<Arc<NewsSnapshot>> {
        let cursor = self.cursor().await?;
        get_or_compute(&self.snapshots, &cursor, async {
            let read = NewsSnapshot::load(&self.store, cursor.clone()).await;
            read.map(Arc::new)
        })
        .await
    }

    /// The newest stories, or those before a sequence, of one topic or all.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn list_stories(
        &self,
        topic: Option<String>,
        before: Option<Seq>,
    ) -> Result<StoryListing> {
        if topic.is_none() && before.is_none() {
            return Ok(self.latest_snapshot().await?.latest_stories());
        }
        // First: a story published in between is delivered twice rather than never.
        let cursor = self.cursor().await?;
        read_stories(&self.store, &cursor, topic, before).await
    }

    async fn cursor(&self) -> Result<Cursor> {
        let (epoch, seq) = self.event_log.position(Stream::News).await?;
        Ok(Cursor { epoch, seq })
    }
}
