//! Messages, their contents and attachments.

use super::{
    CallId, MessageId, Millis, RoomId, Seq, UserId,
    call::{Media, Outcome},
    limits,
    user::{Person, is_blank, is_default_ignorable},
};
use serde::{Deserialize, Serialize};

/// Text of a message: not blank, no trailing white space, `\n` line breaks, at most
/// [`limits::MAX_MESSAGE_CHARS`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageText(String);

/// Why a text is not a valid message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageTextError {
    #[error("Write something first.")]
    Empty,
    #[error(
        "A message can have at most {max} characters; this one has {actual}. Split it, or send it as a file."
    )]
    TooLong { max: usize, actual: usize },
}

impl MessageText {
    /// Turns CRLF and CR into `\n`; drops NUL, trailing white space and leading line breaks. Something has to be visible.
    ///
    /// # Errors
    ///
    /// [`MessageTextError`] names the violated rule.
    pub fn new(text: &str) -> Result<Self, MessageTextError> {
        let text = Self::normalize(text);
        if text.chars().all(|c| is_blank(c) || is_default_ignorable(c)) {
            return Err(MessageTextError::Empty);
        }
        let found = text.chars().count();
        if found > limits::MAX_MESSAGE_CHARS {
            return Err(MessageTextError::TooLong {
                max: limits::MAX_MESSAGE_CHARS,
                actual: found,
            });
        }
        Ok(Self(text))
    }

    /// The length that counts, in characters.
    #[must_use]
    pub fn count_chars(text: &str) -> usize {
        Self::normalize(text).chars().count()
    }

    fn normalize(text: &str) -> String {
        let text = text
            .replace("\r\n", "\n")
            .replace('\r', "\n")
            .replace('\0', "");
        text.trim_end().trim_start_matches('\n').to_owned()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MessageText {
    type Error = MessageTextError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<MessageText> for String {
    fn from(text: MessageText) -> Self {
        text.0
    }
}

/// A file in a message, at `/files/{hash}/{name}` for members of the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub hash: String,
    /// Without folders.
    pub name: String,
    pub size: u64,
    /// Of a PNG, JPEG, GIF or WebP image, shown inline; `None` for a download.
    pub image: Option<ImageSize>,
}

/// In pixels, both at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSize {
    pub width: u32,
    pub height: u32,
}

impl ImageSize {
    /// How many pixels it has.
    #[must_use]
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Scales down to fit `most`, keeping the aspect ratio.
    #[must_use]
    pub fn fitted(self, most: Self) -> Self {
        let (width, height) = (u64::from(self.width.max(1)), u64::from(self.height.max(1)));
        let (most_width, most_height) = (u64::from(most.width), u64::from(most.height));
        if width <= most_width && height <= most_height {
            return Self {
                width: self.width.max(1),
                height: self.height.max(1),
            };
        }
        // Aspect ratios, cross-multiplied.
        let (width, height) = if width * most_height >= height * most_width {
            (most_width, height * most_width / width)
        } else {
            (width * most_height / height, most_height)
        };
        let at_least_one = |side: u64| u32::try_from(side.max(1)).unwrap_or(u32::MAX);
        Self {
            width: at_least_one(width),
            height: at_least_one(height),
        }
    }
}

/// Content of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    Text {
        text: MessageText,
    },
    File {
        file: Attachment,
    },
    /// Posted by the server in the direct room.
    Call {
        call: CallId,
        caller: UserId,
        media: Media,
        outcome: Outcome,
        /// Milliseconds; `None` if never connected.
        lasted: Option<Millis>,
    },
    GroupCall {
        call: CallId,
        /// Milliseconds.
        lasted: Millis,
        /// Names of all former participants, as of that time. Earlier versions appended " (guest)" to those of guests.
        people: Vec<String>,
        /// Positions of guests in `people`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        guests: Vec<usize>,
    },
}

impl Content {
    /// Whether the server posted it.
    #[must_use]
    pub fn is_system_message(&self) -> bool {
        match self {
            Self::Call { .. } | Self::GroupCall { .. } => true,
            Self::Text { .. } | Self::File { .. } => false,
        }
    }

    /// Both people know of answered and declined calls.
    #[must_use]
    pub fn counts_as_unread(&self) -> bool {
        match self {
            Self::Text { .. } | Self::File { .. } => true,
            // The room saw it while it lasted.
            Self::GroupCall { .. } => false,
            Self::Call { outcome, .. } => match outcome {
                Outcome::HungUp | Outcome::Declined | Outcome::AnsweredElsewhere => false,
                Outcome::Busy | Outcome::NoAnswer | Outcome::Cancelled | Outcome::Failed => true,
            },
        }
    }
}

/// A message in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Made by the sending client; for a call's outcome, the call's id.
    pub id: MessageId,
    pub room: RoomId,
    pub seq: Seq,
    pub author: Person,
    /// Commit time on the server.
    pub at: Millis,
    pub content: Content,
}

/// An event of a room's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RoomEvent {
    Message { message: Message },
}

impl RoomEvent {
    /// Value of the store's `kind` column.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_inner_lines_and_loses_the_outer_ones() {
        assert_eq!(
            MessageText::new("\n\n a\r\nb \n").unwrap().as_str(),
            " a\nb"
        );
        assert_eq!(MessageText::new(" \n\t"), Err(MessageTextError::Empty));
    }

    #[test]
    fn an_image_fits_its_box_and_keeps_its_shape() {
        let most = ImageSize {
            width: 480,
            height: 360,
        };
        let fitted = |width, height| {
            let size = ImageSize { width, height }.fitted(most);
            (size.width, size.height)
        };
        assert_eq!(fitted(4_000, 3_000), (480, 360));
        assert_eq!(fitted(3_000, 4_000), (270, 360));
        assert_eq!(fitted(100, 50), (100, 50), "never enlarged");
        assert_eq!(fitted(u32::MAX, 1), (480, 1));
        assert_eq!(fitted(0, 0), (1, 1));
    }

    #[test]
    fn a_message_that_nobody_can_see_is_empty() {
        for blank in [
            "",
            " \n",
            "\u{200B}",
            "\u{200D}\u{FE0F}",
            "\u{2800} \u{2060}",
            "\0",
            "\u{3164}",
        ] {
            assert_eq!(
                MessageText::new(blank),
                Err(MessageTextError::Empty),
                "{blank:?}"
            );
        }
        for text in [".", "\u{1F469}\u{200D}\u{1F680}", "می\u{200C}خواهم"] {
            assert_eq!(MessageText::new(text).unwrap().as_str(), text);
        }
        assert_eq!(MessageText::new("a\0b").unwrap().as_str(), "ab");
    }

    #[test]
    fn length_counts_characters_and_not_bytes() {
        assert!(MessageText::new(&"é".repeat(limits::MAX_MESSAGE_CHARS)).is_ok());
        assert_eq!(
            MessageText::new(&"é".repeat(limits::MAX_MESSAGE_CHARS + 1)),
            Err(MessageTextError::TooLong {
                max: 4_000,
                actual: 4_001
            })
        );
    }
}
