//! Read access to the news, for pages and server functions.

use super::news_cache::{NewsCache, NewsSnapshot};
use crate::{
    model::{
        Seq,
        headlines::NewsStatus,
        story::{Story, StoryListing},
    },
    news::api::types::NewsPageInfo,
    protocol::failure::Failure,
    server::{AppState, Error, Result, session},
};
use leptos::prelude::use_context;
use std::sync::Arc;

/// Reads news; as an [`Arc`] in the context of pages and server functions.
#[derive(Debug)]
pub struct NewsService {
    app: Arc<AppState>,
    cache: NewsCache,
}

/// The service in the request's context.
///
/// # Errors
///
/// [`Error::Internal`] outside a page or a server function.
pub(in crate::news) fn use_news_service() -> Result<Arc<NewsService>> {
    use_context().ok_or_else(|| Error::Internal("no news service in the context".to_owned()))
}

impl NewsService {
    /// A service that has read nothing.
    #[must_use]
    pub fn new(app: Arc<AppState>) -> Arc<Self> {
        let cache = NewsCache::new(app.store.clone(), app.event_log.clone());
        Arc::new(Self { app, cache })
    }

    /// The latest news.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn latest_snapshot(&self) -> Result<Arc<NewsSnapshot>> {
        self.cache.latest_snapshot().await
    }

    pub(in crate::news) async fn find_news_status(&self) -> Result<NewsStatus> {
        Ok(self.latest_snapshot().await?.news_now())
    }

    pub(in crate::news) async fn list_stories(
        &self,
        topic: Option<String>,
        before: Option<Seq>,
    ) -> Result<StoryListing> {
        self.cache.list_stories(topic, before).await
    }

    pub(in crate::news) async fn find_story(&self, slug: &str) -> Result<Story> {
        let found = self.app.store.find_story(slug).await?;
        found.ok_or_else(|| Failure::not_found("That story").into())
    }

    pub(in crate::news) async fn list_topics(&self) -> Result<Vec<String>> {
        Ok(self.latest_snapshot().await?.topics().to_vec())
    }

    pub(in crate::news) async fn find_page_info(&self) -> Result<NewsPageInfo> {
        let can_publish =
            session::current_user().is_some_and(|user| user.person.role.can_publish());
        Ok(NewsPageInfo {
            topics: self.list_topics().await?,
            can_publish,
        })
    }
}
