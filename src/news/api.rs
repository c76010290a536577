//! Server functions of news. Reads use `GET`.

pub(super) mod types;

pub use types::{EditorState, NewsPageInfo, StoryInput};

#[cfg(feature = "ssr")]
use super::server::{editor_form, use_news_service};
#[cfg(feature = "ssr")]
use crate::server::session::use_app;

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

/// The stream's cursor and the breaking story.
///
/// # Errors
///
/// [`Failure::Unavailable`] when the store fails.
#[server(endpoint = "news-now", input = GetUrl)]
pub async fn find_news_status() -> Result<NewsStatus, Failure> {
    Ok(use_news_service()?.find_news_status().await?)
}

/// The newest stories, or those before a sequence, of one topic or all.
///
/// # Errors
///
/// [`Failure::Unavailable`] when the store fails.
#[server(endpoint = "stories", input = GetUrl)]
pub async fn list_stories(
    topic: Option<String>,
    before: Option<Seq>,
) -> Result<StoryListing, Failure> {
    Ok(use_news_service()?.list_stories(topic, before).await?)
}

/// The topics, and whether the reader may publish.
///
/// # Errors
///
/// [`Failure::Unavailable`] when the store fails.
#[server(endpoint = "news-desk", input = GetUrl)]
pub async fn find_page_info() -> Result<NewsPageInfo, Failure> {
    Ok(use_news_service()?.find_page_info().await?)
}

/// One story with its body.
///
/// # Errors
///
/// [`Failure::NotFound`] when no story has that slug.
#[server(endpoint = "story", input = GetUrl)]
pub async fn find_story(slug: String) -> Result<Story, Failure> {
    Ok(use_news_service()?.find_story(&slug).await?)
}

/// The editor's initial state.
///
/// # Errors
///
/// [`Failure::NotSignedIn`] or [`Failure::NotAllowed`] for non-editors.
#[server(endpoint = "begin-story", input = GetUrl)]
pub async fn find_editor_state() -> Result<EditorState, Failure> {
    let news = use_news_service()?;
    Ok(editor_form::find_editor_state(&news).await?)
}

/// Publishes a story and returns its slug.
///
/// # Errors
///
/// [`Failure::Invalid`]; [`Failure::NotSignedIn`] or [`Failure::NotAllowed`] for non-editors.
#[server(endpoint = "publish-story", input = Json)]
pub async fn publish_story(story: StoryInput) -> Result<String, Failure> {
    let app = use_app()?;
    Ok(editor_form::publish_input(&app, story).await?.slug)
}

/// Renders Markdown to sanitised HTML.
///
/// # Errors
///
/// [`Failure::Invalid`]; [`Failure::NotSignedIn`] or [`Failure::NotAllowed`] for non-editors.
#[server(endpoint = "preview-story", input = Json)]
pub async fn preview_story(body: String) -> Result<String, Failure> {
    Ok(editor_form::render_preview(body).await?)
}
