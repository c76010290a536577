//! Stories that editors publish.

use super::{
    Epoch, Millis, Seq, StoryId, limits,
    user::{SingleLineError, parse_single_line},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How prominently a story is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Counted in the notice above the news list.
    #[default]
    Normal,
    /// Shown as a banner on every open page.
    Breaking,
}

impl Urgency {
    /// The name in the store, on the wire and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Breaking => "breaking",
        }
    }
}

impl fmt::Display for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Urgency {
    type Err = StoryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "normal" => Ok(Self::Normal),
            "breaking" => Ok(Self::Breaking),
            _ => Err(StoryError::Urgency),
        }
    }
}

/// Why a draft is not a valid story.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoryError {
    /// The headline is not a valid single line.
    #[error("Headline: {0}")]
    Headline(SingleLineError),
    /// The topic is not a valid single line.
    #[error("Topic: {0}")]
    Topic(SingleLineError),
    /// The body is longer than [`limits::MAX_BODY_CHARS`].
    #[error("The body can have at most {max} characters; this one has {actual}.")]
    BodyTooLong { max: usize, actual: usize },
    /// The urgency is neither `normal` nor `breaking`.
    #[error("Urgency must be \"normal\" or \"breaking\".")]
    Urgency,
}

/// A validated story, ready to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryDraft {
    /// One line, 1 to [`limits::MAX_HEADLINE_CHARS`] characters.
    pub headline: String,
    /// CommonMark, at most [`limits::MAX_BODY_CHARS`] characters; may be empty.
    pub body: String,
    /// One line, 1 to [`limits::MAX_TOPIC_CHARS`] characters.
    pub topic: String,
    pub urgency: Urgency,
}

impl StoryDraft {
    /// Validates a draft. An empty topic becomes `General`.
    ///
    /// # Errors
    /// [`StoryError`] names the field and the rule it violates.
    pub fn new(
        headline: &str,
        body: &str,
        topic: &str,
        urgency: Urgency,
    ) -> Result<Self, StoryError> {
        let topic = if topic.trim().is_empty() {
            "General"
        } else {
            topic
        };
        let found = body.chars().count();
        if found > limits::MAX_BODY_CHARS {
            return Err(StoryError::BodyTooLong {
                max: limits::MAX_BODY_CHARS,
                actual: found,
            });
        }
        Ok(Self {
            headline: parse_single_line(headline, limits::MAX_HEADLINE_CHARS)
                .map_err(StoryError::Headline)?,
            // CommonMark replaces NUL with U+FFFD, and the stores cannot hold NUL.
            body: body
                .replace("\r\n", "\n")
                .replace('\0', "\u{FFFD}")
                .trim()
                .to_owned(),
            topic: parse_single_line(topic, limits::MAX_TOPIC_CHARS).map_err(StoryError::Topic)?,
            urgency,
        })
    }
}

/// A story as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    pub id: StoryId,
    /// Last segment of its address, `/news/{slug}`.
    pub slug: String,
    /// One line of text.
    pub headline: String,
    /// About 200 characters of plain text, for lists.
    pub summary: String,
    /// Sanitised by the server, safe to insert into a page.
    pub html: String,
    /// One line of text.
    pub topic: String,
    pub urgency: Urgency,
    /// Display name of the publisher.
    pub byline: String,
    /// Commit time on the server.
    pub at: Millis,
    /// Sequence in the news stream.
    pub seq: Seq,
}

/// A page of stories, and where the live stream continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryListing {
    /// Newest first.
    pub stories: Vec<Story>,
    /// Epoch of the news stream.
    pub epoch: Epoch,
    /// Newest sequence of the news stream when this page was read.
    pub head: Seq,
    /// The next older page starts before this sequence; `None` on the last page.
    #[serde(rename = "older")]
    pub next_before: Option<Seq>,
    /// The topic that the page is filtered by.
    pub topic: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_names_the_field_that_is_wrong() {
        let empty = StoryDraft::new(" ", "", "", Urgency::Normal).unwrap_err();
        assert_eq!(empty.to_string(), "Headline: Enter at least one character.");
        let long = StoryDraft::new(
            "a",
            &"b".repeat(limits::MAX_BODY_CHARS + 1),
            "",
            Urgency::Normal,
        );
        assert!(matches!(
            long,
            Err(StoryError::BodyTooLong { actual: 40_001, .. })
        ));
    }

    #[test]
    fn a_story_without_a_topic_is_general() {
        assert_eq!(
            StoryDraft::new("a", "", " ", Urgency::Breaking)
                .unwrap()
                .topic,
            "General"
        );
    }
}
