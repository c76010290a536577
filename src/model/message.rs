//! Messages and what they carry.

use super::{
    CallId, MessageId, Millis, RoomId, Seq, UserId,
    call::{Media, Outcome},
    limits,
    user::Person,
};
use serde::{Deserialize, Serialize};

/// The text of a message: no trailing white space, not empty, at most [`limits::MESSAGE_CHARS`] characters. Line breaks
/// are `\n`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageText(String);

/// Why a text is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageTextError {
    /// Nothing but white space.
    #[error("Please write something first.")]
    Empty,
    /// More characters than allowed.
    #[error(
        "A message may have {max} characters at most; this one has {actual}. Split it, or send it as a file."
    )]
    TooLong {
        /// How many characters are allowed.
        max: usize,
        /// How many there are.
        actual: usize,
    },
}

impl MessageText {
    /// Checks a text, and makes every kind of line break `\n`.
    ///
    /// # Errors
    /// [`TextError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, MessageTextError> {
        let text = text.replace("\r\n", "\n").replace(['\r', '\0'], "\n");
        let text = text.trim_end().trim_start_matches('\n');
        if text.trim().is_empty() {
            return Err(MessageTextError::Empty);
        }
        let found = text.chars().count();
        if found > limits::MAX_MESSAGE_CHARS {
            return Err(MessageTextError::TooLong {
                max: limits::MAX_MESSAGE_CHARS,
                actual: found,
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
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

/// A file that a message carries. Its bytes are at `/files/{hash}/{name}` for whoever may see the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    pub hash: String,
    /// The name it was sent under, without any folder.
    pub name: String,
    /// How many bytes.
    pub size: u64,
    /// Its width and height in pixels where it is an image that browsers show (PNG, JPEG, GIF, WebP, AVIF); such
    /// a file is shown inline, every other one is offered as a download.
    pub image: Option<ImageSize>,
}

/// Width and height in pixels, both at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSize {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

impl ImageSize {
    /// The size with the same shape that fits into a box, never larger than the image itself and at least 1 by 1.
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
        // Whichever side is the tighter fit decides; compared without a division.
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

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// Text.
    Text {
        /// The text.
        text: MessageText,
    },
    /// A file.
    File {
        /// The file.
        file: Attachment,
    },
    /// How a call ended: written by the server into the direct room of the two.
    Call {
        /// Which call.
        call: CallId,
        /// Who called.
        caller: UserId,
        /// Voice or video.
        media: Media,
        /// How it ended.
        outcome: Outcome,
        /// How long the two were connected, in milliseconds; none where they never were.
        lasted: Option<Millis>,
    },
    /// A call in the room is over: written by the server.
    GroupCall {
        /// Which call.
        call: CallId,
        /// How long it lasted, in milliseconds.
        lasted: Millis,
        /// Who took part, by the names they had.
        people: Vec<String>,
    },
}

impl Content {
    /// Whether the server wrote it: how a call ended.
    #[must_use]
    pub fn is_system_message(&self) -> bool {
        match self {
            Self::Call { .. } | Self::GroupCall { .. } => true,
            Self::Text { .. } | Self::File { .. } => false,
        }
    }

    /// Whether it counts as unread for those who did not write it. A call that was answered or declined is known to both; one
    /// that was missed is not.
    #[must_use]
    pub fn counts_as_unread(&self) -> bool {
        match self {
            Self::Text { .. } | Self::File { .. } => true,
            // Everybody could see it while it went on.
            Self::GroupCall { .. } => false,
            Self::Call { outcome, .. } => match outcome {
                Outcome::HungUp | Outcome::Declined | Outcome::AnsweredElsewhere => false,
                Outcome::Busy | Outcome::NoAnswer | Outcome::Cancelled | Outcome::Failed => true,
            },
        }
    }
}

/// A message as everybody in its room sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Made by the client that sent it.
    pub id: MessageId,
    /// Where it is.
    pub room: RoomId,
    /// Its place in the room's stream.
    pub seq: Seq,
    /// Who wrote it.
    pub author: Person,
    /// When the server committed it.
    pub at: Millis,
    /// What it says.
    pub content: Content,
}

/// What happens in a room's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RoomEvent {
    /// Somebody wrote, sent a file, or a call ended.
    Message {
        /// The message.
        message: Message,
    },
}

impl RoomEvent {
    /// The word for it in the store's `kind` column.
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
