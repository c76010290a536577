//! Server functions of the news. Reads are `GET`.

#[cfg(feature = "ssr")]
use super::server::{editor_form, queries, with_failure_status};
use crate::{
    model::{
        Seq,
        headlines::NewsStatus,
        story::{Story, StoryListing},
    },
    protocol::failure::Failure,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use server_fn::codec::{GetUrl, Json};
use uuid::Uuid;

/// What there is to choose from on the news page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NewsPageInfo {
    /// Every topic that has a story, by name.
    pub topics: Vec<String>,
    /// Whether the reader may publish.
    #[serde(rename = "may_publish")]
    pub can_publish: bool,
}

/// What somebody typed into the editor's page: not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryInput {
    /// One line.
    #[serde(default)]
    pub headline: String,
    /// Markdown.
    #[serde(default)]
    pub body: String,
    /// One line.
    #[serde(default)]
    pub topic: String,
    /// "normal" or "breaking".
    #[serde(default)]
    pub urgency: String,
    /// Made with the form: however often the form is sent, its story is published once.
    #[serde(rename = "request")]
    pub request_id: Uuid,
}

impl StoryInput {
    /// An empty form.
    #[must_use]
    pub fn new(request: Uuid) -> Self {
        Self {
            headline: String::new(),
            body: String::new(),
            topic: String::new(),
            urgency: "normal".to_owned(),
            request_id: request,
        }
    }
}

/// What the editor's page begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditorState {
    /// Every topic that has a story, by name.
    pub topics: Vec<String>,
    /// What the form holds: nothing, or what was typed into one that was refused.
    #[serde(rename = "typed")]
    pub input: StoryInput,
    /// Why it was refused.
    pub failure: Option<Failure>,
}

/// Where the stream of news stands and what is breaking.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "news-now", input = GetUrl)]
pub async fn find_news_status() -> Result<NewsStatus, Failure> {
    let app = crate::server::session::use_app()?;
    with_failure_status(queries::find_news_status(&app).await)
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
    let app = crate::server::session::use_app()?;
    with_failure_status(queries::list_stories(&app, topic, before).await)
}

/// What there is to choose from on the news page.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "news-desk", input = GetUrl)]
pub async fn find_page_info() -> Result<NewsPageInfo, Failure> {
    let app = crate::server::session::use_app()?;
    with_failure_status(queries::find_page_info(&app).await)
}

/// A whole story.
///
/// # Errors
/// [`Failure::NotFound`] when there is none at that address.
#[server(prefix = "/fn", endpoint = "story", input = GetUrl)]
pub async fn find_story(slug: String) -> Result<Story, Failure> {
    let app = crate::server::session::use_app()?;
    with_failure_status(queries::find_story(&app, &slug).await)
}

/// What the editor's page begins with.
///
/// # Errors
/// [`Failure::NotSignedIn`] or [`Failure::NotAllowed`] for everybody but editors and administrators.
#[server(prefix = "/fn", endpoint = "begin-story", input = GetUrl)]
pub async fn find_editor_state() -> Result<EditorState, Failure> {
    let app = crate::server::session::use_app()?;
    with_failure_status(editor_form::find_editor_state(&app).await)
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
