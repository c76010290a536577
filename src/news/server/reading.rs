//! What the pages show.

use crate::{
    model::{
        Seq,
        headlines::NewsNow,
        story::{NewsPage, Story},
    },
    news::api::Desk,
    protocol::failure::Failure,
    server::{App, Result, session},
};

/// What every page begins with.
pub(in crate::news) async fn now(app: &App) -> Result<NewsNow> {
    Ok(app.editions.now().await?.now())
}

/// A page of stories, of one topic or of all, before a sequence or the newest.
pub(in crate::news) async fn page(
    app: &App,
    topic: Option<String>,
    before: Option<Seq>,
) -> Result<NewsPage> {
    app.editions.page(topic, before).await
}

/// A whole story.
pub(in crate::news) async fn story(app: &App, slug: &str) -> Result<Story> {
    let found = app.store.find_story(slug).await?;
    found.ok_or_else(|| Failure::not_found("That story").into())
}

/// What there is to choose from, and whether the reader may publish.
pub(in crate::news) async fn desk(app: &App) -> Result<Desk> {
    let may_publish = session::current().is_some_and(|signed| signed.person.role.may_publish());
    Ok(Desk {
        topics: app.editions.now().await?.topics().to_vec(),
        may_publish,
    })
}
