//! The active speaker of a group call.

use crate::model::{Millis, call::Seat};

/// Milliseconds.
pub(in crate::calls::client) const SPEAKER_POLL_INTERVAL: i32 = 250;
/// Levels above this are speech (W3C `audioLevel`: linear, 1 is full scale).
const SPEECH_LEVEL: f64 = 0.03;
/// A silent speaker stays active, so that the view does not change between sentences.
const SPEAKER_HOLD_DELAY: Millis = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::calls::client) struct ActiveSpeaker {
    seat: Option<Seat>,
    last_spoke_at: Millis,
}

impl ActiveSpeaker {
    pub(in crate::calls::client) fn update(&mut self, levels: &[(Seat, f64)], now: Millis) {
        let level = |seat: Seat| {
            levels
                .iter()
                .find(|(at, _)| *at == seat)
                .map(|(_, level)| *level)
        };
        let speaks = |seat: &Seat| level(*seat).is_some_and(|level| level > SPEECH_LEVEL);
        if self.seat.as_ref().is_some_and(speaks) {
            self.last_spoke_at = now;
            return;
        }
        let is_there = self.seat.and_then(level).is_some();
        if is_there && now - self.last_spoke_at < SPEAKER_HOLD_DELAY {
            return;
        }
        let loudest = levels
            .iter()
            .filter(|(_, level)| *level > SPEECH_LEVEL)
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        match loudest {
            Some((seat, _)) => {
                (self.seat, self.last_spoke_at) = (Some(*seat), now);
            }
            None if !is_there => self.seat = None,
            None => {}
        }
    }

    pub(in crate::calls::client) fn seat(self) -> Option<Seat> {
        self.seat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Seat = Seat(1);
    const BOB: Seat = Seat(2);

    #[test]
    fn whoever_speaks_is_shown_until_somebody_else_does_and_a_pause_changes_nothing() {
        let mut speaker = ActiveSpeaker::default();
        speaker.update(&[(ADA, 0.001), (BOB, 0.0)], 0);
        assert_eq!(speaker.seat(), None);
        speaker.update(&[(ADA, 0.2), (BOB, 0.1)], 250);
        assert_eq!(speaker.seat(), Some(ADA));
        speaker.update(&[(ADA, 0.0), (BOB, 0.1)], 500);
        assert_eq!(speaker.seat(), Some(ADA), "a breath");
        speaker.update(&[(ADA, 0.1), (BOB, 0.9)], 750);
        assert_eq!(speaker.seat(), Some(ADA), "nobody is cut off");
        speaker.update(&[(ADA, 0.0), (BOB, 0.1)], 2_750);
        assert_eq!(speaker.seat(), Some(BOB));
        speaker.update(&[(ADA, 0.0), (BOB, 0.0)], 9_000);
        assert_eq!(speaker.seat(), Some(BOB), "the last one");
        speaker.update(&[(ADA, 0.0)], 9_250);
        assert_eq!(speaker.seat(), None, "who left does not speak");
    }
}
