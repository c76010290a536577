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
    /// In the news list.
    #[default]
    Normal,
    /// A banner on every open page.
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

/// Why a draft is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoryError {
    #[error("Headline: {0}")]
    Headline(SingleLineError),
    #[error("Topic: {0}")]
    Topic(SingleLineError),
    #[error("The body can have at most {max} characters; this one has {actual}.")]
    BodyTooLong { max: usize, actual: usize },
    #[error("Urgency must be \"normal\" or \"breaking\".")]
    Urgency,
}

/// A validated story.
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
    /// An empty topic becomes `General`.
    ///
    /// # Errors
    ///
    /// [`StoryError`] names the field and the violated rule.
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
        let body = normalize_body(body);
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
            body,
            topic: parse_single_line(topic, limits::MAX_TOPIC_CHARS).map_err(StoryError::Topic)?,
            urgency,
        })
    }

    /// The length of a body that counts, in characters.
    #[must_use]
    pub fn count_body_chars(body: &str) -> usize {
        normalize_body(body).chars().count()
    }
}

fn normalize_body(body: &str) -> String {
    // CommonMark replaces NUL with U+FFFD, and the stores cannot hold NUL.
    body.replace("\r\n", "\n")
        .replace('\r', "\n")
        .replace('\0', "\u{FFFD}")
        .trim()
        .to_owned()
}

/// A published story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    pub id: StoryId,
    /// Last segment of its address, `/news/{slug}`.
    pub slug: String,
    pub headline: String,
    /// About 200 characters of plain text.
    pub summary: String,
    /// Sanitized by the server.
    pub html: String,
    pub topic: String,
    pub urgency: Urgency,
    /// The publisher's display name.
    pub byline: String,
    /// Commit time.
    pub at: Millis,
    pub seq: Seq,
}

/// A page of stories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryListing {
    /// Newest first.
    pub stories: Vec<Story>,
    pub epoch: Epoch,
    /// Newest sequence when this page was read.
    pub head: Seq,
    /// The next older page starts before this sequence; `None` on the last page.
    #[serde(rename = "older")]
    pub next_before: Option<Seq>,
    /// The filter.
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
    fn a_line_break_is_one_character_however_it_is_sent() {
        let body = "a\r\n".repeat(limits::MAX_BODY_CHARS / 2);
        assert!(StoryDraft::new("a", &body, "", Urgency::Normal).is_ok());
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

    #[test]
    fn line_breaks_of_every_system_are_the_same() {
        let draft = StoryDraft::new("a", "b\r\nc\rd\r\r\ne\n", "", Urgency::Normal);
        assert_eq!(draft.unwrap().body, "b\nc\nd\n\ne");
    }
}
