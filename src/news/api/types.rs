//! What the server functions of news take and answer with.

use crate::protocol::failure::Failure;
use serde::{Deserialize, Serialize};
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
