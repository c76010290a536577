//! Argument and result types of the news server functions.

use crate::protocol::failure::Failure;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Data of the news page besides the stories.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NewsPageInfo {
    /// All topics that have a story, sorted by name.
    pub topics: Vec<String>,
    /// Whether the reader may publish.
    #[serde(rename = "may_publish")]
    pub can_publish: bool,
}

/// Contents of the editor's form, not validated yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryInput {
    /// Headline, one line.
    #[serde(default)]
    pub headline: String,
    /// Body in Markdown.
    #[serde(default)]
    pub body: String,
    /// Topic, one line.
    #[serde(default)]
    pub topic: String,
    /// "normal" or "breaking".
    #[serde(default)]
    pub urgency: String,
    /// Idempotency key, created with the form: repeated submissions publish one story.
    #[serde(rename = "request")]
    pub request_id: Uuid,
}

impl StoryInput {
    /// Creates an empty form.
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
    /// All topics that have a story, sorted by name.
    pub topics: Vec<String>,
    /// Form contents: empty, or the input of a rejected submission.
    #[serde(rename = "typed")]
    pub input: StoryInput,
    /// Reason for the rejection, if the form was rejected.
    pub failure: Option<Failure>,
}
