//! Argument and result types of the news server functions.

use crate::protocol::failure::Failure;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The news page besides the stories.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NewsPageInfo {
    /// All topics that have a story, sorted.
    pub topics: Vec<String>,
    #[serde(rename = "may_publish")]
    pub can_publish: bool,
}

/// Contents of the editor's form, not validated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryInput {
    #[serde(default)]
    pub headline: String,
    /// Markdown.
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub topic: String,
    /// "normal" or "breaking".
    #[serde(default)]
    pub urgency: String,
    /// Idempotency key: repeated submissions publish one story.
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

/// Initial state of the editor's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditorState {
    /// All topics that have a story, sorted.
    pub topics: Vec<String>,
    /// Empty, or the input of a rejected submission.
    #[serde(rename = "typed")]
    pub input: StoryInput,
    /// Why the form was rejected.
    pub failure: Option<Failure>,
}
