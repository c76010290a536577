//! Outcomes and durations of calls as text.

use super::types::{Media, Outcome, Side};
use crate::model::Millis;

impl Media {
    /// "Voice call" or "Video call".
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Voice => "Voice call",
            Self::Video => "Video call",
        }
    }

    fn lowercase_label(self) -> &'static str {
        match self {
            Self::Voice => "voice call",
            Self::Video => "video call",
        }
    }
}

impl Outcome {
    /// Whether the user on this side missed the call.
    #[must_use]
    pub fn is_missed(self, side: Side) -> bool {
        match self {
            Self::NoAnswer | Self::Cancelled | Self::Busy => side == Side::Callee,
            Self::HungUp | Self::Declined | Self::AnsweredElsewhere | Self::Failed => false,
        }
    }
}

/// "Video call, 3 min 20 s" or "Missed voice call".
///
/// `lasted` is in milliseconds; `None` if never connected.
#[must_use]
pub fn outcome_text(outcome: Outcome, side: Side, media: Media, lasted: Option<Millis>) -> String {
    let (noun, lower) = (media.label(), media.lowercase_label());
    let time = lasted.map(duration_text);
    match (outcome, side) {
        (Outcome::HungUp, _) => match time {
            Some(time) => format!("{noun}, {time}"),
            None => format!("{noun}, ended before connecting"),
        },
        (Outcome::Failed, _) => match time {
            Some(time) => format!("{noun}, connection lost after {time}"),
            None => format!("{noun}, could not connect"),
        },
        (Outcome::Declined, Side::Caller) => format!("{noun} declined"),
        (Outcome::Declined, Side::Callee) => format!("You declined a {lower}"),
        (Outcome::Busy, Side::Caller) => format!("{noun}, busy"),
        (Outcome::NoAnswer, Side::Caller) => format!("{noun}, no answer"),
        (Outcome::Cancelled, Side::Caller) => format!("{noun} cancelled"),
        (Outcome::Busy, Side::Callee) => format!("Missed {lower} while in another call"),
        (Outcome::NoAnswer | Outcome::Cancelled, Side::Callee) => format!("Missed {lower}"),
        (Outcome::AnsweredElsewhere, _) => format!("{noun} answered elsewhere"),
    }
}

/// Whole seconds, from one hour on minutes: "8 s", "3 min 20 s", "1 h 2 min". Negative counts as zero.
#[must_use]
pub fn duration_text(millis: Millis) -> String {
    let seconds = millis.max(0) / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, seconds) {
        (0, 0, _) => format!("{seconds} s"),
        (0, _, 0) => format!("{minutes} min"),
        (0, _, _) => format!("{minutes} min {seconds} s"),
        (_, 0, _) => format!("{hours} h"),
        (_, _, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_reads_what_happened_to_it() {
        let text = |outcome, side| outcome_text(outcome, side, Media::Voice, None);
        assert_eq!(
            text(Outcome::NoAnswer, Side::Caller),
            "Voice call, no answer"
        );
        assert_eq!(text(Outcome::NoAnswer, Side::Callee), "Missed voice call");
        assert_eq!(text(Outcome::Cancelled, Side::Callee), "Missed voice call");
        assert_eq!(text(Outcome::Declined, Side::Caller), "Voice call declined");
        assert_eq!(
            text(Outcome::Declined, Side::Callee),
            "You declined a voice call"
        );
        assert_eq!(
            text(Outcome::Busy, Side::Callee),
            "Missed voice call while in another call"
        );
    }

    #[test]
    fn only_the_callee_misses_a_call() {
        assert!(Outcome::NoAnswer.is_missed(Side::Callee) && Outcome::Busy.is_missed(Side::Callee));
        assert!(
            !Outcome::NoAnswer.is_missed(Side::Caller)
                && !Outcome::Declined.is_missed(Side::Callee)
        );
    }

    #[test]
    fn a_call_that_took_place_says_how_long() {
        let text = |outcome, lasted| outcome_text(outcome, Side::Callee, Media::Video, lasted);
        assert_eq!(
            text(Outcome::HungUp, Some(200_000)),
            "Video call, 3 min 20 s"
        );
        assert_eq!(
            text(Outcome::HungUp, None),
            "Video call, ended before connecting"
        );
        assert_eq!(
            text(Outcome::Failed, Some(9_999)),
            "Video call, connection lost after 9 s"
        );
        assert_eq!(text(Outcome::Failed, None), "Video call, could not connect");
    }

    #[test]
    fn lengths_read_as_people_say_them() {
        let lengths = [-5, 0, 59_999, 60_000, 61_000, 3_600_000, 3_725_000].map(duration_text);
        assert_eq!(
            lengths,
            [
                "0 s",
                "0 s",
                "59 s",
                "1 min",
                "1 min 1 s",
                "1 h",
                "1 h 2 min"
            ]
        );
    }
}
