//! News stories.

use super::{Store, Tx, can_be_stored, parse};
use crate::{
    model::{
        Millis, Seq, StoryId,
        story::{Story, Urgency},
    },
    server::error::{Error, Result},
};

pub(super) type StoryColumns = (
    String,
    i64,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
);

pub(super) fn decode_story(row: StoryColumns) -> Result<Story> {
    let (id, seq, slug, headline, html, summary, topic, urgency, byline, at) = row;
    let id: StoryId = parse(&id)?;
    let urgency: Urgency = urgency.parse().map_err(Error::corrupt)?;
    Ok(Story {
        id,
        slug,
        headline,
        summary,
        html,
        topic,
        urgency,
        byline,
        at,
        seq,
    })
}

impl Store {
    /// Inserts a story with an allocated sequence and a free slug.
    ///
    /// # Errors
    /// When the store fails, or the slug or request id is taken.
    pub async fn create_story(
        &self,
        tx: &mut Tx,
        story: &Story,
        body: &str,
        request_id: Option<&str>,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO stories (id, seq, slug, headline, body, html, summary, topic, urgency, byline, at, request_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(story.id.to_string())
        .bind(story.seq)
        .bind(&story.slug)
        .bind(&story.headline)
        .bind(body)
        .bind(&story.html)
        .bind(&story.summary)
        .bind(&story.topic)
        .bind(story.urgency.as_str())
        .bind(&story.byline)
        .bind(story.at)
        .bind(request_id)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Whether a slug is taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_slug_taken(&self, tx: &mut Tx, slug: &str) -> Result<bool> {
        let row: Option<(String,)> = sqlx::query_as("SELECT id FROM stories WHERE slug = $1")
            .bind(slug)
            .fetch_optional(&mut **tx)
            .await?;
        Ok(row.is_some())
    }

    /// Finds a story by request id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_story_by_request(
        &self,
        tx: &mut Tx,
        request_id: &str,
    ) -> Result<Option<Story>> {
        sqlx::query_as(
            "SELECT id, seq, slug, headline, html, summary, topic, urgency, byline, at FROM stories WHERE request_id = $1",
        )
        .bind(request_id)
        .fetch_optional(&mut **tx)
        .await?
        .map(decode_story)
        .transpose()
    }

    /// Finds a story by slug.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_story(&self, slug: &str) -> Result<Option<Story>> {
        if !can_be_stored(slug) {
            return Ok(None);
        }
        sqlx::query_as("SELECT id, seq, slug, headline, html, summary, topic, urgency, byline, at FROM stories WHERE slug = $1")
            .bind(slug)
            .fetch_optional(&self.read_pool)
            .await?
            .map(decode_story)
            .transpose()
    }

    /// Stories before a sequence, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_stories(
        &self,
        topic: Option<&str>,
        before: Seq,
        most: i64,
    ) -> Result<Vec<Story>> {
        if !topic.is_none_or(can_be_stored) {
            return Ok(Vec::new());
        }
        let rows: Vec<StoryColumns> = sqlx::query_as(
            "SELECT id, seq, slug, headline, html, summary, topic, urgency, byline, at FROM stories
             WHERE seq < $1 AND ($2 = '' OR topic = $2) ORDER BY seq DESC LIMIT $3",
        )
        .bind(before)
        .bind(topic.unwrap_or_default())
        .bind(most)
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(decode_story).collect()
    }

    /// Stories of a topic after a sequence, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_topic_stories(
        &self,
        topic: &str,
        after: Seq,
        most: i64,
    ) -> Result<Vec<Story>> {
        if !can_be_stored(topic) {
            return Ok(Vec::new());
        }
        // The index on topic and sequence bounds the work even for rare topics.
        let rows: Vec<StoryColumns> = sqlx::query_as(
            "SELECT id, seq, slug, headline, html, summary, topic, urgency, byline, at FROM stories
             WHERE topic = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(topic)
        .bind(after)
        .bind(most)
        .fetch_all(&self.read_pool)
        .await?;
        rows.into_iter().map(decode_story).collect()
    }

    /// Topics of stories, in bytewise order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_topics(&self) -> Result<Vec<String>> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT topic FROM stories GROUP BY topic ORDER BY topic")
                .fetch_all(&self.read_pool)
                .await?;
        Ok(rows.into_iter().map(|(topic,)| topic).collect())
    }

    /// The newest breaking story published at `since` or later.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_breaking(&self, since: Millis) -> Result<Option<Story>> {
        sqlx::query_as(
            "SELECT id, seq, slug, headline, html, summary, topic, urgency, byline, at FROM stories
             WHERE urgency = 'breaking' AND at >= $1 ORDER BY seq DESC LIMIT 1",
        )
        .bind(since)
        .fetch_optional(&self.read_pool)
        .await?
        .map(decode_story)
        .transpose()
    }
}
