//! Server functions of news. Reads use `GET`.

pub(super) mod types;

pub use types::{EditorState, NewsPageInfo, StoryInput};

#[cfg(feature = "ssr")]
use super::server::{editor_form, use_news_service, with_failure_status};

use crate::{
    model::{
        Seq,
        headlines::NewsStatus,
        story::{Story, StoryListing},
    },
    protocol::failure::Failure,
};
use leptos::prelude::*;
use server_fn::codec::{GetUrl, Json};

/// Returns the stream's cursor and the breaking story.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "news-now", input = GetUrl)]
pub async fn find_news_status() -> Result<NewsStatus, Failure> {
    let news = use_news_service()?;
    with_failure_status(news.find_news_status().await)
}

/// Returns one page of stories, of one topic or all: the newest, or those before a sequence.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "stories", input = GetUrl)]
pub async fn list_stories(
    topic: Option<String>,
    before: Option<Seq>,
) -> Result<StoryListing, Failure> {
    let news = use_news_service()?;
    with_failure_status(news.list_stories(topic, before).await)
}

/// Returns the topics, and whether the reader may publish.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "news-desk", input = GetUrl)]
pub async fn find_page_info() -> Result<NewsPageInfo, Failure> {
    let news = use_news_service()?;
    with_failure_status(news.find_page_info().await)
}

/// Returns one story with its body.
///
/// # Errors
/// [`Failure::NotFound`] when no story has that slug.
#[server(prefix = "/fn", endpoint = "story", input = GetUrl)]
pub async fn find_story(slug: String) -> Result<Story, Failure> {
    let news = use_news_service()?;
    with_failure_status(news.find_story(&slug).await)
}

/// Returns the initial state of the editor's form.
///
/// # Errors
/// [`Failure::NotSignedIn`] or [`Failure::NotAllowed`] unless the caller is an editor or administrator.
#[server(prefix = "/fn", endpoint = "begin-story", input = GetUrl)]
pub async fn find_editor_state() -> Result<EditorState, Failure> {
    let news = use_news_service()?;
    with_failure_status(editor_form::find_editor_state(&news).await)
}

/// Publishes a story and returns its slug.
///
/// # Errors
/// [`Failure::Invalid`] names the field and the rule it breaks; [`Failure::NotSignedIn`] or [`Failure::NotAllowed`]
/// unless the caller is an editor or administrator.
#[server(prefix = "/fn", endpoint = "publish-story", input = Json)]
pub async fn publish_story(story: StoryInput) -> Result<String, Failure> {
    let app = crate::server::session::use_app()?;
    with_failure_status(editor_form::publish_input(&app, story).await).map(|story| story.slug)
}

/// Renders a Markdown body to sanitised HTML.
///
/// # Errors
/// [`Failure::Invalid`] when the body is too long; [`Failure::NotSignedIn`] or [`Failure::NotAllowed`] unless the
/// caller is an editor or administrator.
#[server(prefix = "/fn", endpoint = "preview-story", input = Json)]
pub async fn preview_story(body: String) -> Result<String, Failure> {
    with_failure_status(editor_form::render_preview(body).await)
}
