//! Stories: what an editor publishes.

use super::{
    Epoch, Millis, Seq, StoryId, limits,
    user::{SingleLineError, parse_single_line},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How loudly a story announces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Counted in a pill on the news page.
    #[default]
    Normal,
    /// Shown as a banner on every open page.
    Breaking,
}

impl Urgency {
    /// The word that the store, the wire and the command line use.
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

/// Why something is no story.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoryError {
    /// The headline breaks a rule.
    #[error("Headline: {0}")]
    Headline(SingleLineError),
    /// The topic breaks a rule.
    #[error("Topic: {0}")]
    Topic(SingleLineError),
    /// The body is longer than allowed.
    #[error("The body may have {max} characters at most; this one has {actual}.")]
    BodyTooLong {
        /// How many characters are allowed.
        max: usize,
        /// How many there are.
        actual: usize,
    },
    /// Neither of the two words.
    #[error("Urgency is \"normal\" or \"breaking\".")]
    Urgency,
}

/// What whoever publishes gives: already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryDraft {
    /// One line, 1 to [`limits::HEADLINE_CHARS`] characters.
    pub headline: String,
    /// CommonMark, at most [`limits::BODY_CHARS`] characters, may be empty.
    pub body: String,
    /// One line, 1 to [`limits::TOPIC_CHARS`] characters.
    pub topic: String,
    /// How loudly.
    pub urgency: Urgency,
}

impl StoryDraft {
    /// Checks what somebody typed. An empty topic becomes `"General"`.
    ///
    /// # Errors
    /// [`StoryError`] names the field and the rule it breaks.
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
            // NUL becomes what CommonMark says: no store holds it.
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
    /// Which story.
    pub id: StoryId,
    /// The last part of its address, `/news/{slug}`.
    pub slug: String,
    /// One line of text.
    pub headline: String,
    /// The first 200 or so characters of the body as plain text, for lists.
    pub summary: String,
    /// The body as HTML, sanitised by the server: safe to put into a page as it is.
    pub html: String,
    /// One line of text.
    pub topic: String,
    /// How loudly it announced itself.
    pub urgency: Urgency,
    /// The shown name of who published it.
    pub byline: String,
    /// When the server committed it.
    pub at: Millis,
    /// Its place in the stream of news.
    pub seq: Seq,
}

/// A page of stories, newest first, and where the live stream goes on from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryListing {
    /// Newest first.
    pub stories: Vec<Story>,
    /// The epoch of the stream of news.
    pub epoch: Epoch,
    /// The newest sequence of the stream of news when this page was read.
    pub head: Seq,
    /// Where the next older page goes on: stories before this sequence; none on the last page.
    #[serde(rename = "older")]
    pub next_before: Option<Seq>,
    /// The topic that was asked for.
    pub topic: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_names_the_field_that_is_wrong() {
        let empty = StoryDraft::new(" ", "", "", Urgency::Normal).unwrap_err();
        assert_eq!(empty.to_string(), "Headline: Please write something.");
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
