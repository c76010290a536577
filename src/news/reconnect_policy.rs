//! Reconnect policy of the live news stream.

use crate::model::{
    Millis,
    reconnect::{
        ConnectPhase, DisconnectCause, HeartbeatSource, REPLY_TIMEOUT, ReconnectPolicy, Transition,
    },
};

const INTERRUPTION_NOTICE_DELAY: Millis = 3_000;

/// What is specific to the news stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPolicy {
    /// The usual one until a connection's first heartbeat.
    silence_timeout: Millis,
    /// Or of the attempt, if no event followed.
    last_event_at: Millis,
    /// When the connection was first attempted, or last known to work.
    lost_at: Option<Millis>,
}

impl StreamPolicy {
    pub(crate) const fn new() -> Self {
        Self {
            silence_timeout: REPLY_TIMEOUT,
            last_event_at: 0,
            lost_at: None,
        }
    }

    /// The silence timeout becomes 2.5 intervals: one heartbeat may be lost and the next one late.
    pub(crate) fn set_heartbeat_interval(&mut self, seconds: u64) {
        self.silence_timeout =
            Millis::try_from(seconds.saturating_mul(2_500)).unwrap_or(Millis::MAX);
    }

    /// Time since the start of an interruption long enough to be shown.
    pub(super) fn interruption_age(&self, now: Millis) -> Option<Millis> {
        let age = now - self.lost_at?;
        Some(age).filter(|age| *age >= INTERRUPTION_NOTICE_DELAY)
    }
}

impl ReconnectPolicy for StreamPolicy {
    const HEARTBEAT_SOURCE: HeartbeatSource = HeartbeatSource::Server;
    const STABLE_AGE: Millis = 5_000;

    fn on_transition(&mut self, transition: Transition, now: Millis) {
        match transition {
            Transition::Connecting => {
                self.silence_timeout = REPLY_TIMEOUT;
                self.last_event_at = now;
                self.lost_at.get_or_insert(now);
            }
            Transition::Received => self.last_event_at = now,
            Transition::Welcomed => self.lost_at = None,
            // Everything after the last event may have been missed.
            Transition::Lost(_) => _ = self.lost_at.get_or_insert(self.last_event_at),
            Transition::Stopped => *self = Self::new(),
        }
    }

    fn reply_timeout(&self, _phase: ConnectPhase, _failures: u32) -> Millis {
        self.silence_timeout
    }

    fn retry_delay(&self, backoff: Millis, _cause: DisconnectCause) -> Millis {
        backoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reconnect::{ConnectionEffect, ConnectionEvent, ReconnectState};

    type StreamState = ReconnectState<StreamPolicy>;

    const LOST: ConnectionEvent = ConnectionEvent::Lost(DisconnectCause::ServerUnavailable);

    fn new_state() -> StreamState {
        StreamState::new(StreamPolicy::new())
    }

    /// With the longest delays.
    fn report(
        state: &mut StreamState,
        event: ConnectionEvent,
        now: Millis,
    ) -> Option<ConnectionEffect> {
        state.on_event(event, now, 0.999_999)
    }

    fn connect(state: &mut StreamState, now: Millis) {
        assert_eq!(
            report(state, ConnectionEvent::Start, now),
            Some(ConnectionEffect::Connect)
        );
        report(state, ConnectionEvent::Received, now);
        report(state, ConnectionEvent::Welcomed, now);
    }

    fn connected_state() -> StreamState {
        let mut state = new_state();
        connect(&mut state, 0);
        state.policy.set_heartbeat_interval(15);
        state
    }

    #[test]
    fn a_short_interruption_is_not_shown() {
        let mut state = connected_state();
        report(&mut state, ConnectionEvent::Received, 10_000);
        report(&mut state, LOST, 10_000);
        assert_eq!(state.policy.interruption_age(12_999), None);
        assert_eq!(state.policy.interruption_age(13_000), Some(3_000));
        report(&mut state, ConnectionEvent::Start, 13_000);
        assert_eq!(
            state.policy.interruption_age(20_000),
            Some(10_000),
            "until the server says hello"
        );
        report(&mut state, ConnectionEvent::Welcomed, 20_000);
        assert_eq!(state.policy.interruption_age(99_000), None);
    }

    #[test]
    fn a_stream_without_a_beginning_is_interrupted_too() {
        let mut state = new_state();
        report(&mut state, ConnectionEvent::Start, 100);
        assert_eq!(report(&mut state, ConnectionEvent::Timer, 10_100), None);
        assert_eq!(
            report(&mut state, ConnectionEvent::Timer, 10_101),
            Some(ConnectionEffect::BackOff)
        );
        assert_eq!(state.policy.interruption_age(3_100), Some(3_000));
    }

    #[test]
    fn silence_of_two_and_a_half_heartbeats_is_death() {
        let mut state = connected_state();
        assert_eq!(report(&mut state, ConnectionEvent::Timer, 37_500), None);
        let mut silent = state;
        assert_eq!(
            report(&mut silent, ConnectionEvent::Timer, 37_501),
            Some(ConnectionEffect::BackOff)
        );
        report(&mut state, ConnectionEvent::Received, 30_000);
        assert_eq!(report(&mut state, ConnectionEvent::Timer, 37_501), None);
        report(&mut state, LOST, 70_000);
        assert_eq!(
            state.policy.interruption_age(70_000),
            Some(40_000),
            "since the last event"
        );
        connect(&mut state, 70_000);
        assert_eq!(
            state.deadline(),
            Some(80_001),
            "the next connection's interval is not known yet"
        );
    }

    #[test]
    fn tries_become_rarer_until_a_connection_lasts() {
        let mut state = new_state();
        let mut now = 0;
        let mut delays = Vec::new();
        for _ in 0..4 {
            connect(&mut state, now);
            report(&mut state, LOST, now);
            let began = now;
            while report(&mut state, ConnectionEvent::Timer, now).is_none() {
                now += 1;
            }
            delays.push(now - began);
        }
        assert_eq!(delays, [499, 999, 1_999, 3_999]);
        connect(&mut state, now);
        report(&mut state, LOST, now + 5_000);
        assert_eq!(state.retry_at(), Some(now + 5_499));
    }

    #[test]
    fn a_hidden_page_wants_nothing_and_misses_nothing() {
        let mut state = connected_state();
        report(&mut state, LOST, 40_000);
        assert_eq!(
            report(&mut state, ConnectionEvent::Stop, 50_000),
            Some(ConnectionEffect::Close)
        );
        report(&mut state, LOST, 50_000);
        assert_eq!(report(&mut state, ConnectionEvent::Timer, 99_000), None);
        assert_eq!(report(&mut state, ConnectionEvent::RetryNow, 99_000), None);
        assert_eq!(state.policy.interruption_age(99_000), None);
    }
}
