//! Whether the live stream is alive, when to try again, and since when it has been interrupted: plain data, told the time.

use crate::model::{Millis, backoff};

/// Until the first heartbeat has said how often they come, silence counts as death after this many milliseconds.
const FIRST_WORD: Millis = 10_000;
/// An interruption shorter than this is not worth telling, in milliseconds.
const UNNOTICED: Millis = 3_000;
/// A connection that lasted this long, in milliseconds, was a good one: the next backoff begins anew.
const GOOD: Millis = 5_000;

/// What is known of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watch {
    state: State,
    failures: u32,
    /// Since when no connection was greeted, if the page wants one.
    lost_at: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not wanted: the page is hidden, or has not begun.
    Off,
    /// Connected or connecting.
    Open {
        /// When something was last heard, or else when the connection was begun.
        heard_at: Millis,
        /// How long a silence may last.
        patience: Millis,
        /// When the server said hello.
        greeted_at: Option<Millis>,
    },
    /// To be tried again.
    Waiting {
        /// When.
        retry_at: Millis,
    },
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// Connect.
    Dial,
    /// Give the connection up: nothing was heard for too long.
    GiveUp,
}

impl Watch {
    /// Nothing is wanted yet.
    pub(super) const fn new() -> Self {
        Self {
            state: State::Off,
            failures: 0,
            lost_at: None,
        }
    }

    /// Whether the page wants a connection.
    pub(super) fn is_wanted(&self) -> bool {
        self.state != State::Off
    }

    /// A connection was begun.
    pub(super) fn dialed(&mut self, now: Millis) {
        self.lost_at.get_or_insert(now);
        self.state = State::Open {
            heard_at: now,
            patience: FIRST_WORD,
            greeted_at: None,
        };
    }

    /// The server said hello.
    pub(super) fn greeted(&mut self, now: Millis) {
        self.lost_at = None;
        if let State::Open {
            heard_at,
            greeted_at,
            ..
        } = &mut self.state
        {
            *heard_at = now;
            *greeted_at = Some(now);
        }
    }

    /// Something was heard.
    pub(super) fn heard(&mut self, now: Millis) {
        if let State::Open { heard_at, .. } = &mut self.state {
            *heard_at = now;
        }
    }

    /// A heartbeat was heard, and the next one follows after so many seconds: two may get lost, a third may be late.
    pub(super) fn beat(&mut self, now: Millis, seconds: u64) {
        self.heard(now);
        if let State::Open { patience, .. } = &mut self.state {
            *patience = Millis::try_from(seconds.saturating_mul(2_500)).unwrap_or(Millis::MAX);
        }
    }

    /// The connection was lost or could not be made. `random` is a number from 0 (included) to 1 (excluded).
    pub(super) fn lost(&mut self, now: Millis, random: f64) {
        let State::Open {
            greeted_at,
            heard_at,
            ..
        } = self.state
        else {
            return;
        };
        if greeted_at.is_some_and(|since| now - since >= GOOD) {
            self.failures = 0;
        }
        // What was heard last was heard; everything since then may have been missed.
        self.lost_at.get_or_insert(heard_at);
        let wait = backoff::wait(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting {
            retry_at: now + Millis::from(wait),
        };
    }

    /// No connection is wanted any more.
    pub(super) fn paused(&mut self) {
        *self = Self::new();
    }

    /// What is to be done now.
    pub(super) fn due(&self, now: Millis) -> Due {
        match self.state {
            State::Waiting { retry_at } if now >= retry_at => Due::Dial,
            State::Open {
                heard_at, patience, ..
            } if now - heard_at > patience => Due::GiveUp,
            State::Off | State::Waiting { .. } | State::Open { .. } => Due::Nothing,
        }
    }

    /// Since when the stream has been interrupted, once that is worth telling.
    pub(super) fn interrupted_since(&self, now: Millis) -> Option<Millis> {
        self.lost_at.filter(|since| now - since >= UNNOTICED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that was greeted at 0 and beats every 15 seconds.
    fn live() -> Watch {
        let mut watch = Watch::new();
        watch.dialed(0);
        watch.greeted(0);
        watch.beat(0, 15);
        watch
    }

    #[test]
    fn a_short_interruption_is_not_told() {
        let mut watch = live();
        watch.heard(10_000);
        watch.lost(10_000, 0.0);
        assert_eq!(watch.interrupted_since(12_999), None);
        assert_eq!(watch.interrupted_since(13_000), Some(10_000));
        watch.dialed(13_000);
        assert_eq!(
            watch.interrupted_since(20_000),
            Some(10_000),
            "until the server says hello"
        );
        watch.greeted(20_000);
        assert_eq!(watch.interrupted_since(99_000), None);
    }

    #[test]
    fn a_stream_without_a_beginning_is_interrupted_too() {
        let mut watch = Watch::new();
        watch.dialed(100);
        assert_eq!(watch.due(10_100), Due::Nothing);
        assert_eq!(watch.due(10_101), Due::GiveUp);
        assert_eq!(watch.interrupted_since(3_100), Some(100));
    }

    #[test]
    fn silence_of_two_and_a_half_heartbeats_is_death() {
        let mut watch = live();
        assert_eq!(watch.due(37_500), Due::Nothing);
        assert_eq!(watch.due(37_501), Due::GiveUp);
        watch.heard(30_000);
        assert_eq!(watch.due(37_501), Due::Nothing);
        watch.lost(70_000, 0.0);
        assert_eq!(
            watch.interrupted_since(70_000),
            Some(30_000),
            "since something was last heard"
        );
    }

    #[test]
    fn tries_become_rarer_until_a_connection_lasts() {
        let mut watch = Watch::new();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..4 {
            watch.dialed(now);
            watch.greeted(now);
            watch.lost(now, 0.999_999);
            let began = now;
            while watch.due(now) == Due::Nothing {
                now += 1;
            }
            waits.push(now - began);
        }
        assert_eq!(waits, [499, 999, 1_999, 3_999]);
        watch.dialed(now);
        watch.greeted(now);
        watch.lost(now + GOOD, 0.999_999);
        assert_eq!(watch.due(now + GOOD + 499), Due::Dial);
    }

    #[test]
    fn a_hidden_page_wants_nothing_and_misses_nothing() {
        let mut watch = live();
        watch.paused();
        watch.lost(50_000, 0.0);
        assert_eq!(
            (watch.due(99_000), watch.interrupted_since(99_000)),
            (Due::Nothing, None)
        );
        assert!(!watch.is_wanted());
    }
}
