//! Types of the news server functions.

use crate::protocol::failure::Failure;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The news page besides the stories.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NewsPageInfo {
    /// Sorted.
    pub topics: Vec<String>,
    #[serde(rename = "may_publish")]
    pub can_publish: bool,
}

/// The editor's form, not validated.
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
    /// Idempotency key.
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

/// The editor's initial state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditorState {
    pub topics: Vec<String>,
    /// Empty, or the rejected input.
    #[serde(rename = "typed")]
    pub input: StoryInput,
    pub failure: Option<Failure>,
}
