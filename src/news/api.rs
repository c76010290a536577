//! Server functions of the news. Reads are `GET`.

#[cfg(feature = "ssr")]
use super::server::{answer, reading, writing};
use crate::{
    model::{
        Seq,
        headlines::NewsNow,
        story::{NewsPage, Story},
    },
    protocol::failure::Failure,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use server_fn::codec::{GetUrl, Json};
use uuid::Uuid;

/// What there is to choose from on the news page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Desk {
    /// Every topic that has a story, by name.
    pub topics: Vec<String>,
    /// Whether the reader may publish.
    pub may_publish: bool,
}

/// What somebody typed into the editor's page: not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedStory {
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
    pub request: Uuid,
}

impl TypedStory {
    /// An empty form.
    #[must_use]
    pub fn new(request: Uuid) -> Self {
        Self {
            headline: String::new(),
            body: String::new(),
            topic: String::new(),
            urgency: "normal".to_owned(),
            request,
        }
    }
}

/// What the editor's page begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Editor {
    /// Every topic that has a story, by name.
    pub topics: Vec<String>,
    /// What the form holds: nothing, or what was typed into one that was refused.
    pub typed: TypedStory,
    /// Why it was refused.
    pub failure: Option<Failure>,
}

/// Where the stream of news stands and what is breaking.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "news-now", input = GetUrl)]
pub async fn find_now() -> Result<NewsNow, Failure> {
    let app = crate::server::session::app()?;
    answer(reading::now(&app).await)
}

/// A page of stories, of one topic or of all, before a sequence or the newest.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "stories", input = GetUrl)]
pub async fn list_stories(topic: Option<String>, before: Option<Seq>) -> Result<NewsPage, Failure> {
    let app = crate::server::session::app()?;
    answer(reading::page(&app, topic, before).await)
}

/// What there is to choose from on the news page.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "news-desk", input = GetUrl)]
pub async fn find_desk() -> Result<Desk, Failure> {
    let app = crate::server::session::app()?;
    answer(reading::desk(&app).await)
}

/// A whole story.
///
/// # Errors
/// [`Failure::NotFound`] when there is none at that address.
#[server(prefix = "/fn", endpoint = "story", input = GetUrl)]
pub async fn find_story(slug: String) -> Result<Story, Failure> {
    let app = crate::server::session::app()?;
    answer(reading::story(&app, &slug).await)
}

/// What the editor's page begins with.
///
/// # Errors
/// [`Failure::NotSignedIn`] or [`Failure::NotAllowed`] for everybody but editors and administrators.
#[server(prefix = "/fn", endpoint = "begin-story", input = GetUrl)]
pub async fn begin_story() -> Result<Editor, Failure> {
    let app = crate::server::session::app()?;
    answer(writing::editor(&app).await)
}

/// Publishes a story and returns the last part of its address.
///
/// # Errors
/// [`Failure::Invalid`] names the field and the rule it breaks; [`Failure::NotAllowed`] for everybody but editors and
/// administrators.
#[server(prefix = "/fn", endpoint = "publish-story", input = Json)]
pub async fn publish_story(story: TypedStory) -> Result<String, Failure> {
    let app = crate::server::session::app()?;
    answer(writing::publish_typed(&app, story).await).map(|story| story.slug)
}

/// What a body in Markdown will look like: sanitised HTML.
///
/// # Errors
/// [`Failure::Invalid`] when it is too long; [`Failure::NotAllowed`] for everybody but editors and administrators.
#[server(prefix = "/fn", endpoint = "preview-story", input = Json)]
pub async fn preview_story(body: String) -> Result<String, Failure> {
    answer(writing::preview(body).await)
}
