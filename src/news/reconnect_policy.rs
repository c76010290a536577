//! Reconnect policy of the live news stream: timeouts, backoff and interruption times, as plain data without a clock.

use crate::model::{Millis, backoff};

/// Silence timeout until the first heartbeat states the interval, in milliseconds.
const INITIAL_SILENCE_TIMEOUT: Millis = 10_000;
/// Interruptions shorter than this are not shown, in milliseconds.
const INTERRUPTION_NOTICE_DELAY: Millis = 3_000;
/// Age at which a connection counts as stable, in milliseconds: its loss resets the backoff.
const STABLE_CONNECTION_AGE: Millis = 5_000;

/// State of the stream's connection, and of the backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReconnectPolicy {
    state: State,
    failures: u32,
    /// Start of the current interruption: when the connection was first attempted, or last known to work.
    lost_at: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No connection is wanted: the page is hidden or not started.
    Idle,
    /// Connecting or connected.
    Open {
        /// Time of the last event, or of the connection attempt if there was none.
        last_event_at: Millis,
        /// Longest accepted silence, in milliseconds.
        silence_timeout: Millis,
        /// Time of the server's hello, if received.
        hello_at: Option<Millis>,
    },
    /// Waiting to reconnect.
    BackingOff {
        /// Time of the next attempt.
        retry_at: Millis,
    },
}

/// Action that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DueAction {
    /// No action.
    Nothing,
    /// Open a connection.
    Connect,
    /// Close the connection: nothing was received within the silence timeout.
    Disconnect,
}

impl ReconnectPolicy {
    /// Creates an idle policy.
    pub(super) const fn new() -> Self {
        Self {
            state: State::Idle,
            failures: 0,
            lost_at: None,
        }
    }

    /// Returns whether a connection is wanted.
    pub(super) fn should_connect(&self) -> bool {
        self.state != State::Idle
    }

    /// Records the start of a connection attempt.
    pub(super) fn on_connecting(&mut self, now: Millis) {
        self.lost_at.get_or_insert(now);
        self.state = State::Open {
            last_event_at: now,
            silence_timeout: INITIAL_SILENCE_TIMEOUT,
            hello_at: None,
        };
    }

    /// Records the server's hello, which ends an interruption.
    pub(super) fn on_hello(&mut self, now: Millis) {
        self.lost_at = None;
        if let State::Open {
            last_event_at: heard_at,
            hello_at: greeted_at,
            ..
        } = &mut self.state
        {
            *heard_at = now;
            *greeted_at = Some(now);
        }
    }

    /// Records an event of any kind.
    pub(super) fn on_event(&mut self, now: Millis) {
        if let State::Open {
            last_event_at: heard_at,
            ..
        } = &mut self.state
        {
            *heard_at = now;
        }
    }

    /// Records a heartbeat and its interval in seconds. The silence timeout becomes 2.5 intervals: one heartbeat may be
    /// lost and the next one late.
    pub(super) fn on_heartbeat(&mut self, now: Millis, seconds: u64) {
        self.on_event(now);
        if let State::Open {
            silence_timeout: patience,
            ..
        } = &mut self.state
        {
            *patience = Millis::try_from(seconds.saturating_mul(2_500)).unwrap_or(Millis::MAX);
        }
    }

    /// Records the loss or failure of the connection and schedules a retry. `random` is in `0.0..1.0`, for jitter.
    pub(super) fn on_disconnect(&mut self, now: Millis, random: f64) {
        let State::Open {
            hello_at: greeted_at,
            last_event_at: heard_at,
            ..
        } = self.state
        else {
            return;
        };
        if greeted_at.is_some_and(|since| now - since >= STABLE_CONNECTION_AGE) {
            self.failures = 0;
        }
        // Everything after the last received event may have been missed.
        self.lost_at.get_or_insert(heard_at);
        let wait = backoff::retry_delay(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        self.state = State::BackingOff {
            retry_at: now + Millis::from(wait),
        };
    }

    /// Stops: no connection is wanted any more.
    pub(super) fn pause(&mut self) {
        *self = Self::new();
    }

    /// Returns the action that is due.
    pub(super) fn due_action(&self, now: Millis) -> DueAction {
        match self.state {
            State::BackingOff { retry_at } if now >= retry_at => DueAction::Connect,
            State::Open {
                last_event_at: heard_at,
                silence_timeout: patience,
                ..
            } if now - heard_at > patience => DueAction::Disconnect,
            State::Idle | State::BackingOff { .. } | State::Open { .. } => DueAction::Nothing,
        }
    }

    /// Returns the start of the interruption, once it has lasted long enough to be shown.
    pub(super) fn interrupted_since(&self, now: Millis) -> Option<Millis> {
        self.lost_at
            .filter(|since| now - since >= INTERRUPTION_NOTICE_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connected stream: hello at 0, heartbeats every 15 seconds.
    fn connected_policy() -> ReconnectPolicy {
        let mut watch = ReconnectPolicy::new();
        watch.on_connecting(0);
        watch.on_hello(0);
        watch.on_heartbeat(0, 15);
        watch
    }

    #[test]
    fn a_short_interruption_is_not_shown() {
        let mut watch = connected_policy();
        watch.on_event(10_000);
        watch.on_disconnect(10_000, 0.0);
        assert_eq!(watch.interrupted_since(12_999), None);
        assert_eq!(watch.interrupted_since(13_000), Some(10_000));
        watch.on_connecting(13_000);
        assert_eq!(
            watch.interrupted_since(20_000),
            Some(10_000),
            "until the server says hello"
        );
        watch.on_hello(20_000);
        assert_eq!(watch.interrupted_since(99_000), None);
    }

    #[test]
    fn a_stream_without_a_beginning_is_interrupted_too() {
        let mut watch = ReconnectPolicy::new();
        watch.on_connecting(100);
        assert_eq!(watch.due_action(10_100), DueAction::Nothing);
        assert_eq!(watch.due_action(10_101), DueAction::Disconnect);
        assert_eq!(watch.interrupted_since(3_100), Some(100));
    }

    #[test]
    fn silence_of_two_and_a_half_heartbeats_is_death() {
        let mut watch = connected_policy();
        assert_eq!(watch.due_action(37_500), DueAction::Nothing);
        assert_eq!(watch.due_action(37_501), DueAction::Disconnect);
        watch.on_event(30_000);
        assert_eq!(watch.due_action(37_501), DueAction::Nothing);
        watch.on_disconnect(70_000, 0.0);
        assert_eq!(
            watch.interrupted_since(70_000),
            Some(30_000),
            "since the last event"
        );
    }

    #[test]
    fn tries_become_rarer_until_a_connection_lasts() {
        let mut watch = ReconnectPolicy::new();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..4 {
            watch.on_connecting(now);
            watch.on_hello(now);
            watch.on_disconnect(now, 0.999_999);
            let began = now;
            while watch.due_action(now) == DueAction::Nothing {
                now += 1;
            }
            waits.push(now - began);
        }
        assert_eq!(waits, [499, 999, 1_999, 3_999]);
        watch.on_connecting(now);
        watch.on_hello(now);
        watch.on_disconnect(now + STABLE_CONNECTION_AGE, 0.999_999);
        assert_eq!(
            watch.due_action(now + STABLE_CONNECTION_AGE + 499),
            DueAction::Connect
        );
    }

    #[test]
    fn a_hidden_page_wants_nothing_and_misses_nothing() {
        let mut watch = connected_policy();
        watch.pause();
        watch.on_disconnect(50_000, 0.0);
        assert_eq!(
            (watch.due_action(99_000), watch.interrupted_since(99_000)),
            (DueAction::Nothing, None)
        );
        assert!(!watch.should_connect());
    }
}
