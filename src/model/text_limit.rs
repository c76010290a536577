//! How long a text of a form may be, counted as the server counts it.

use super::{
    limits::{self, format_count},
    message::MessageText,
    story::StoryDraft,
    user::count_line_chars,
};

/// The most characters (Unicode scalar values) of a text after its normalisation.
#[derive(Debug, Clone, Copy)]
pub struct TextLimit {
    max_chars: usize,
    count: fn(&str) -> usize,
}

impl TextLimit {
    /// Of a user's name.
    pub const NAME: Self = Self::line(limits::MAX_NAME_CHARS);
    /// Of a room's name.
    pub const ROOM_NAME: Self = Self::line(limits::MAX_ROOM_NAME_CHARS);
    /// Of a message.
    pub const MESSAGE: Self = Self {
        max_chars: limits::MAX_MESSAGE_CHARS,
        count: MessageText::count_chars,
    };
    /// Of a story's headline.
    pub const HEADLINE: Self = Self::line(limits::MAX_HEADLINE_CHARS);
    /// Of a story's body.
    pub const BODY: Self = Self {
        max_chars: limits::MAX_BODY_CHARS,
        count: StoryDraft::count_body_chars,
    };
    /// Of a story's topic.
    pub const TOPIC: Self = Self::line(limits::MAX_TOPIC_CHARS);

    const fn line(max_chars: usize) -> Self {
        Self {
            max_chars,
            count: count_line_chars,
        }
    }

    /// How many characters are too many.
    #[must_use]
    pub fn excess(self, text: &str) -> usize {
        // No normalisation makes a text longer, and a byte is at most a character.
        if text.len() <= self.max_chars {
            return 0;
        }
        (self.count)(text).saturating_sub(self.max_chars)
    }

    /// Says how many characters are too many.
    #[must_use]
    pub fn excess_words(self, excess: usize) -> String {
        let noun = if excess == 1 {
            "character"
        } else {
            "characters"
        };
        let (excess, most) = (format_count(excess), format_count(self.max_chars));
        format!("{excess} {noun} too many. The limit is {most}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{room::RoomName, story::Urgency, user::UserName};

    fn is_story(headline: &str, body: &str, topic: &str) -> bool {
        StoryDraft::new(headline, body, topic, Urgency::Normal).is_ok()
    }

    #[test]
    fn a_text_is_too_long_exactly_if_the_server_refuses_it() {
        let cases: [(TextLimit, fn(&str) -> bool); 6] = [
            (TextLimit::NAME, |text| UserName::new(text).is_ok()),
            (TextLimit::ROOM_NAME, |text| RoomName::new(text).is_ok()),
            (TextLimit::MESSAGE, |text| MessageText::new(text).is_ok()),
            (TextLimit::HEADLINE, |text| is_story(text, "", "")),
            (TextLimit::BODY, |text| is_story("a", text, "")),
            (TextLimit::TOPIC, |text| is_story("a", "", text)),
        ];
        for (limit, is_taken) in cases {
            for character in ["a", "é", "\u{1F600}"] {
                // White space at the ends does not count.
                let text = |count| format!("\n{} \r\n", character.repeat(count));
                let (longest, longer) = (text(limit.max_chars), text(limit.max_chars + 3));
                assert_eq!((limit.excess(&longest), is_taken(&longest)), (0, true));
                assert_eq!((limit.excess(&longer), is_taken(&longer)), (3, false));
            }
        }
    }

    #[test]
    fn words_say_how_much_is_too_long() {
        assert_eq!(
            TextLimit::MESSAGE.excess_words(16_000),
            "16,000 characters too many. The limit is 4,000."
        );
        assert_eq!(
            TextLimit::NAME.excess_words(1),
            "1 character too many. The limit is 40."
        );
    }
}
