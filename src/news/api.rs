//! Server functions of the news. Reads are `GET`.

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

/// Where the stream of news stands and what is breaking.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "news-now", input = GetUrl)]
pub async fn find_news_status() -> Result<NewsStatus, Failure> {
    let news = use_news_service()?;
    with_failure_status(news.find_news_status().await)
}

/// A page of stories, of one topic or of all, before a sequence or the newest.
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

/// What there is to choose from on the news page.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "news-desk", input = GetUrl)]
pub async fn find_page_info() -> Result<NewsPageInfo, Failure> {
    let news = use_news_service()?;
    with_failure_status(news.find_page_info().await)
}

/// A whole story.
///
/// # Errors
/// [`Failure::NotFound`] when there is none at that address.
#[server(prefix = "/fn", endpoint = "story", input = GetUrl)]
pub async fn find_story(slug: String) -> Result<Story, Failure> {
    let news = use_news_service()?;
    with_failure_status(news.find_story(&slug).await)
}

/// What the editor's page begins with.
///
/// # Errors
/// [`Failure::NotSignedIn`] or [`Failure::NotAllowed`] for everybody but editors and administrators.
#[server(prefix = "/fn", endpoint = "begin-story", input = GetUrl)]
pub async fn find_editor_state() -> Result<EditorState, Failure> {
    let news = use_news_service()?;
    with_failure_status(editor_form::find_editor_state(&news).await)
}

/// Publishes a story and returns the last part of its address.
///
/// # Errors
/// [`Failure::Invalid`] names the field and the rule it breaks; [`Failure::NotAllowed`] for everybody but editors and
/// administrators.
#[server(prefix = "/fn", endpoint = "publish-story", input = Json)]
pub async fn publish_story(story: StoryInput) -> Result<String, Failure> {
    let app = crate::server::session::use_app()?;
    with_failure_status(editor_form::publish_input(&app, story).await).map(|story| story.slug)
}

/// What a body in Markdown will look like: sanitised HTML.
///
/// # Errors
/// [`Failure::Invalid`] when it is too long; [`Failure::NotAllowed`] for everybody but editors and administrators.
#[server(prefix = "/fn", endpoint = "preview-story", input = Json)]
pub async fn preview_story(body: String) -> Result<String, Failure> {
    with_failure_status(editor_form::render_preview(body).await)
}
