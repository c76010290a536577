//! What the pages show.

use crate::{
    model::{
        Cursor, Seq,
        headlines::{BREAKING_FOR, Breaking, NewsNow},
        limits,
        story::{NewsPage, Story},
    },
    news::api::Desk,
    protocol::failure::Failure,
    server::{App, Result, clock, session, store::Stream},
};

/// What every page begins with.
///
/// The stream is read before the stories, so that a story published in between comes again over the stream rather than never.
pub(in crate::news) async fn now(app: &App) -> Result<NewsNow> {
    let stream = app.store.find_stream(Stream::News).await?;
    let now = clock::now();
    let newest = app.store.find_breaking(now - BREAKING_FOR).await?;
    Ok(NewsNow {
        cursor: Cursor {
            epoch: stream.epoch,
            seq: stream.head,
        },
        breaking: newest.and_then(|story| Breaking::of(&story, now)),
    })
}

/// A page of stories, of one topic or of all, before a sequence or the newest. A list shows summaries, so their HTML is left
/// out. The stream is read first, as in [`now`].
pub(in crate::news) async fn page(
    app: &App,
    topic: Option<String>,
    before: Option<Seq>,
) -> Result<NewsPage> {
    let stream = app.store.find_stream(Stream::News).await?;
    let before = before.unwrap_or(Seq::MAX);
    let one_more = limits::NEWS_PAGE + 1;
    let mut stories = app
        .store
        .list_stories(topic.as_deref(), before, one_more)
        .await?;
    let most = usize::try_from(limits::NEWS_PAGE).unwrap_or(usize::MAX);
    let has_older = stories.len() > most;
    stories.truncate(most);
    for story in &mut stories {
        story.html.clear();
    }
    let older = stories.last().map(|last| last.seq).filter(|_| has_older);
    Ok(NewsPage {
        stories,
        epoch: stream.epoch,
        head: stream.head,
        older,
        topic,
    })
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
        topics: app.store.list_topics().await?,
        may_publish,
    })
}
