//! What the pages show.

use crate::{
    model::{
        Seq,
        headlines::NewsStatus,
        story::{Story, StoryListing},
    },
    news::api::NewsPageInfo,
    protocol::failure::Failure,
    server::{AppState, Result, session},
};

/// What every page begins with.
pub(in crate::news) async fn find_news_status(app: &AppState) -> Result<NewsStatus> {
    Ok(app.news_cache.latest_snapshot().await?.news_now())
}

/// A page of stories, of one topic or of all, before a sequence or the newest.
pub(in crate::news) async fn list_stories(
    app: &AppState,
    topic: Option<String>,
    before: Option<Seq>,
) -> Result<StoryListing> {
    app.news_cache.list_stories(topic, before).await
}

/// A whole story.
pub(in crate::news) async fn find_story(app: &AppState, slug: &str) -> Result<Story> {
    let found = app.store.find_story(slug).await?;
    found.ok_or_else(|| Failure::not_found("That story").into())
}

/// What there is to choose from, and whether the reader may publish.
pub(in crate::news) async fn find_page_info(app: &AppState) -> Result<NewsPageInfo> {
    let may_publish =
        session::current_user().is_some_and(|signed| signed.person.role.can_publish());
    Ok(NewsPageInfo {
        topics: app.news_cache.latest_snapshot().await?.topics().to_vec(),
        can_publish: may_publish,
    })
}
