//! When a live connection connects, counts as dead and reconnects.
//!
//! Times are readings of a [`PageClock`](super::page_clock::PageClock).

use super::{Millis, backoff};

/// Milliseconds between [`ConnectionEvent::Timer`] events.
pub const TIMER_INTERVAL: Millis = 500;
/// Usual limit for the server's silence, in milliseconds.
pub const REPLY_TIMEOUT: Millis = 10_000;
/// Milliseconds below which [`ConnectionEvent::NetworkHint`] does not restart an attempt.
const RECENT_ATTEMPT_AGE: Millis = 200;
/// Milliseconds by which a busy page's timer is late: data may be waiting, so deadlines are extended.
const LATE_TIMER_THRESHOLD: Millis = 1_000;
/// Milliseconds by which the timer is late after a sleep: deadlines are not extended.
const SLEEP_THRESHOLD: Millis = 6_000;

/// An event that concerns the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEvent {
    Start,
    Stop,
    Opened,
    Received,
    Welcomed,
    ReplyRequested,
    /// Lost or refused, or to be given up.
    Lost(DisconnectCause),
    /// The browser is online, the page visible, or the user asks.
    RetryNow,
    /// The network may be back.
    NetworkHint,
    /// Every [`TIMER_INTERVAL`] and at each [`ReconnectState::deadline`].
    Timer,
}

/// What the client must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEffect {
    /// In place of the current connection.
    Connect,
    /// Close; another attempt follows.
    BackOff,
    /// Close for good.
    Close,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectCause {
    PathTimeout,
    /// Closed, refused, or no welcome in time; also while the browser is offline.
    ServerUnavailable,
}

/// Progress of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectPhase {
    Connecting,
    /// The transport is open; the welcome is outstanding.
    Open,
    Welcomed,
}

impl ConnectPhase {
    /// Cause of a timeout in this phase.
    #[must_use]
    pub fn timeout_cause(self) -> DisconnectCause {
        match self {
            Self::Connecting | Self::Welcomed => DisconnectCause::PathTimeout,
            Self::Open => DisconnectCause::ServerUnavailable,
        }
    }
}

/// A change of state, for the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    Connecting,
    Received,
    Welcomed,
    Lost(ConnectPhase),
    Stopped,
}

/// The side whose heartbeats fill an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatSource {
    /// Pings; the server only replies.
    Client,
    Server,
}

/// What differs between WebSocket and news stream.
pub trait ReconnectPolicy {
    const HEARTBEAT_SOURCE: HeartbeatSource;
    /// Milliseconds after the welcome from which a loss resets the backoff.
    const STABLE_AGE: Millis;

    fn on_transition(&mut self, transition: Transition, now: Millis);

    /// Longest accepted silence in a phase, in milliseconds.
    fn reply_timeout(&self, phase: ConnectPhase, failures: u32) -> Millis;

    /// Milliseconds before the next attempt, given those of the backoff.
    fn retry_delay(&self, backoff: Millis, cause: DisconnectCause) -> Millis;
}

/// State of a connection that is kept open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconnectState<P> {
    pub policy: P,
    state: State,
    attempt: u32,
    failures: u32,
    last_timer_at: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Active(Connection),
    BackingOff { retry_at: Millis },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Connection {
    phase: ConnectPhase,
    phase_since: Millis,
    awaiting_since: Option<Millis>,
}

impl<P: ReconnectPolicy> ReconnectState<P> {
    /// An idle state.
    #[must_use]
    pub const fn new(policy: P) -> Self {
        Self {
            policy,
            state: State::Idle,
            attempt: 0,
            failures: 0,
            last_timer_at: None,
        }
    }

    /// Records an event. `random` is in `0.0..1.0`.
    pub fn on_event(
        &mut self,
        event: ConnectionEvent,
        now: Millis,
        random: f64,
    ) -> Option<ConnectionEffect> {
        match event {
            ConnectionEvent::Start => Some(self.connect(now)),
            ConnectionEvent::Stop => self.stop(now),
            ConnectionEvent::Opened => {
                self.advance(ConnectPhase::Open, now);
                None
            }
            ConnectionEvent::Received => {
                self.receive(now);
                None
            }
            ConnectionEvent::Welcomed => {
                self.advance(ConnectPhase::Welcomed, now);
                self.policy.on_transition(Transition::Welcomed, now);
                None
            }
            ConnectionEvent::ReplyRequested => {
                if let State::Active(connection) = &mut self.state {
                    connection.awaiting_since.get_or_insert(now);
                }
                None
            }
            ConnectionEvent::Lost(cause) => self.lose(cause, now, random),
            ConnectionEvent::RetryNow => self.retry_at().map(|_| self.connect(now)),
            ConnectionEvent::NetworkHint => self.can_restart(now).then(|| self.connect(now)),
            ConnectionEvent::Timer => self.on_timer(now, random),
        }
    }

    /// Changes whenever a connection is opened, closed or postponed.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Losses and failed attempts since the last stable connection.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Phase of the connection or attempt.
    pub fn phase(&self) -> Option<ConnectPhase> {
        match self.state {
            State::Active(connection) => Some(connection.phase),
            State::Idle | State::BackingOff { .. } => None,
        }
    }

    /// Time of the next attempt, while backing off.
    pub fn retry_at(&self) -> Option<Millis> {
        match self.state {
            State::BackingOff { retry_at } => Some(retry_at),
            State::Idle | State::Active(_) => None,
        }
    }

    /// Whether something of the server is expected.
    pub fn is_awaiting_reply(&self) -> bool {
        match self.state {
            State::Active(connection) => connection.awaiting_since.is_some(),
            State::Idle | State::BackingOff { .. } => false,
        }
    }

    /// When [`ConnectionEvent::Timer`] connects, or gives up a silent connection.
    pub fn deadline(&self) -> Option<Millis> {
        match self.state {
            State::Idle => None,
            State::Active(connection) => {
                let timeout = self.policy.reply_timeout(connection.phase, self.failures);
                Some(connection.awaiting_since? + timeout + 1)
            }
            State::BackingOff { retry_at } => Some(retry_at),
        }
    }

    /// Makes the next attempt no later than `latest`.
    pub fn hasten(&mut self, latest: Millis) {
        if let State::BackingOff { retry_at } = &mut self.state {
            *retry_at = latest.min(*retry_at);
        }
    }

    /// Moves the next attempt; returns its new number.
    pub fn postpone(&mut self, until: Millis) -> u32 {
        if let State::BackingOff { retry_at } = &mut self.state {
            *retry_at = until;
            self.attempt = self.attempt.wrapping_add(1);
        }
        self.attempt
    }

    fn connect(&mut self, now: Millis) -> ConnectionEffect {
        self.attempt = self.attempt.wrapping_add(1);
        // A server that accepts and stays silent counts as lost, too.
        self.state = State::Active(Connection {
            phase: ConnectPhase::Connecting,
            phase_since: now,
            awaiting_since: Some(now),
        });
        self.policy.on_transition(Transition::Connecting, now);
        ConnectionEffect::Connect
    }

    fn stop(&mut self, now: Millis) -> Option<ConnectionEffect> {
        if self.state == State::Idle {
            return None;
        }
        self.attempt = self.attempt.wrapping_add(1);
        self.state = State::Idle;
        self.failures = 0;
        self.policy.on_transition(Transition::Stopped, now);
        Some(ConnectionEffect::Close)
    }

    fn advance(&mut self, phase: ConnectPhase, now: Millis) {
        if let State::Active(connection) = &mut self.state {
            connection.phase = phase;
            connection.phase_since = now;
            if phase == ConnectPhase::Open {
                connection.awaiting_since = Some(now);
            }
        }
    }

    fn receive(&mut self, now: Millis) {
        if let State::Active(connection) = &mut self.state {
            connection.awaiting_since = match P::HEARTBEAT_SOURCE {
                HeartbeatSource::Client => None,
                HeartbeatSource::Server => Some(now),
            };
            self.policy.on_transition(Transition::Received, now);
        }
    }

    fn lose(
        &mut self,
        cause: DisconnectCause,
        now: Millis,
        random: f64,
    ) -> Option<ConnectionEffect> {
        let State::Active(Connection {
            phase, phase_since, ..
        }) = self.state
        else {
            return None;
        };
        if phase == ConnectPhase::Welcomed && now - phase_since >= P::STABLE_AGE {
            self.failures = 0;
        }
        let backoff = backoff::retry_delay(self.failures, random).into();
        self.failures = self.failures.saturating_add(1);
        self.attempt = self.attempt.wrapping_add(1);
        self.policy.on_transition(Transition::Lost(phase), now);
        self.state = State::BackingOff {
            retry_at: now + self.policy.retry_delay(backoff, cause),
        };
        Some(ConnectionEffect::BackOff)
    }

    fn on_timer(&mut self, now: Millis, random: f64) -> Option<ConnectionEffect> {
        let last_timer_at = self.last_timer_at.replace(now);
        let late = last_timer_at.map_or(0, |last| now - last - TIMER_INTERVAL);
        let connection = match &mut self.state {
            State::Idle => return None,
            State::BackingOff { retry_at } => {
                return (now >= *retry_at).then(|| self.connect(now));
            }
            State::Active(connection) => connection,
        };
        let awaiting_since = connection.awaiting_since.as_mut()?;
        if (LATE_TIMER_THRESHOLD..SLEEP_THRESHOLD).contains(&late) {
            *awaiting_since = (*awaiting_since + late).min(now);
        }
        let (since, phase) = (*awaiting_since, connection.phase);
        if now - since > self.policy.reply_timeout(phase, self.failures) {
            self.lose(phase.timeout_cause(), now, random)
        } else {
            None
        }
    }

    fn can_restart(&self, now: Millis) -> bool {
        match self.state {
            State::Idle => false,
            State::Active(connection) => {
                connection.phase == ConnectPhase::Connecting
                    && now - connection.phase_since >= RECENT_ATTEMPT_AGE
            }
            State::BackingOff { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Pinging;
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Streaming;

    impl ReconnectPolicy for Pinging {
        const HEARTBEAT_SOURCE: HeartbeatSource = HeartbeatSource::Client;
        const STABLE_AGE: Millis = 0;

        fn on_transition(&mut self, _: Transition, _: Millis) {}
        fn reply_timeout(&self, _: ConnectPhase, _: u32) -> Millis {
            REPLY_TIMEOUT
        }
        fn retry_delay(&self, backoff: Millis, _: DisconnectCause) -> Millis {
            backoff
        }
    }

    impl ReconnectPolicy for Streaming {
        const HEARTBEAT_SOURCE: HeartbeatSource = HeartbeatSource::Server;
        const STABLE_AGE: Millis = 5_000;

        fn on_transition(&mut self, _: Transition, _: Millis) {}
        fn reply_timeout(&self, _: ConnectPhase, _: u32) -> Millis {
            REPLY_TIMEOUT
        }
        fn retry_delay(&self, backoff: Millis, _: DisconnectCause) -> Millis {
            backoff
        }
    }

    const LOST: ConnectionEvent = ConnectionEvent::Lost(DisconnectCause::ServerUnavailable);

    fn welcomed<P: ReconnectPolicy>(policy: P, now: Millis) -> ReconnectState<P> {
        let mut state = ReconnectState::new(policy);
        for (event, effect) in [
            (ConnectionEvent::Start, Some(ConnectionEffect::Connect)),
            (ConnectionEvent::Opened, None),
            (ConnectionEvent::Received, None),
            (ConnectionEvent::Welcomed, None),
        ] {
            assert_eq!(state.on_event(event, now, 0.5), effect);
        }
        state
    }

    fn next_effect<P: ReconnectPolicy>(
        state: &mut ReconnectState<P>,
        mut now: Millis,
    ) -> (ConnectionEffect, Millis) {
        loop {
            if let Some(effect) = state.on_event(ConnectionEvent::Timer, now, 0.5) {
                return (effect, now);
            }
            now += TIMER_INTERVAL;
        }
    }

    #[test]
    fn a_lost_connection_is_tried_again_later_and_later() {
        let mut state = welcomed(Pinging, 0);
        assert_eq!(
            state.on_event(LOST, 10, 0.5),
            Some(ConnectionEffect::BackOff)
        );
        let mut delays = Vec::new();
        let mut now = 10;
        for _ in 0..3 {
            let retry_at = state.retry_at().expect("it backs off");
            delays.push(retry_at - now);
            assert_eq!(
                state.on_event(ConnectionEvent::Timer, retry_at - 1, 0.5),
                None
            );
            assert_eq!(
                state.on_event(ConnectionEvent::Timer, retry_at, 0.5),
                Some(ConnectionEffect::Connect)
            );
            now = retry_at;
            assert_eq!(
                state.on_event(LOST, now, 0.5),
                Some(ConnectionEffect::BackOff)
            );
        }
        assert_eq!(delays, [250, 500, 1_000]);
        assert_eq!(
            state.on_event(LOST, now, 0.5),
            None,
            "only a connection is lost"
        );
    }

    #[test]
    fn only_a_stable_connection_resets_the_backoff() {
        let lose_after = |state: &mut dyn FnMut(ConnectionEvent, Millis) -> Millis, age| {
            state(ConnectionEvent::Start, 0);
            state(ConnectionEvent::Welcomed, 0);
            state(LOST, age)
        };
        let mut pinging = ReconnectState::new(Pinging);
        let mut lose = |event, now| {
            pinging.on_event(event, now, 1.0);
            pinging.retry_at().unwrap_or(now) - now
        };
        assert_eq!([0, 0, 5].map(|age| lose_after(&mut lose, age)), [500; 3]);
        let mut streaming = ReconnectState::new(Streaming);
        let mut lose = |event, now| {
            streaming.on_event(event, now, 1.0);
            streaming.retry_at().unwrap_or(now) - now
        };
        assert_eq!(
            [4_999, 4_999, 5_000].map(|age| lose_after(&mut lose, age)),
            [500, 1_000, 500]
        );
    }

    #[test]
    fn a_client_that_pings_expects_replies_and_a_stream_expects_heartbeats() {
        let mut pinging = welcomed(Pinging, 0);
        assert!(!pinging.is_awaiting_reply() && pinging.deadline().is_none());
        assert_eq!(pinging.on_event(ConnectionEvent::Timer, 99_000, 0.5), None);
        pinging.on_event(ConnectionEvent::ReplyRequested, 99_000, 0.5);
        pinging.on_event(ConnectionEvent::ReplyRequested, 105_000, 0.5);
        assert_eq!(pinging.deadline(), Some(109_001), "since the first request");
        pinging.on_event(ConnectionEvent::Received, 106_000, 0.5);
        assert!(!pinging.is_awaiting_reply());

        let mut streaming = welcomed(Streaming, 0);
        assert_eq!(
            next_effect(&mut streaming, 0),
            (ConnectionEffect::BackOff, 10_500)
        );
        let mut streaming = welcomed(Streaming, 0);
        streaming.on_event(ConnectionEvent::Received, 9_000, 0.5);
        assert_eq!(streaming.deadline(), Some(19_001));
    }

    #[test]
    fn a_busy_page_extends_the_deadline_and_a_sleeping_device_does_not() {
        let silent = || {
            let mut state = welcomed(Pinging, 0);
            state.on_event(ConnectionEvent::ReplyRequested, 0, 0.5);
            state.on_event(ConnectionEvent::Timer, 9_000, 0.5);
            state
        };
        let mut busy = silent();
        assert_eq!(busy.on_event(ConnectionEvent::Timer, 12_000, 0.5), None);
        assert_eq!(busy.deadline(), Some(12_501));
        let mut asleep = silent();
        assert_eq!(
            asleep.on_event(ConnectionEvent::Timer, 15_500, 0.5),
            Some(ConnectionEffect::BackOff)
        );
    }

    #[test]
    fn waiting_ends_when_the_browser_is_online_and_old_attempts_are_restarted_by_a_hint() {
        let mut state = welcomed(Pinging, 0);
        for event in [ConnectionEvent::RetryNow, ConnectionEvent::NetworkHint] {
            assert_eq!(state.on_event(event, 5_000, 0.5), None, "it is connected");
            state.on_event(LOST, 5_000, 0.9);
            assert_eq!(
                state.on_event(event, 5_001, 0.5),
                Some(ConnectionEffect::Connect)
            );
        }
        assert_eq!(state.on_event(ConnectionEvent::RetryNow, 9_000, 0.5), None);
        assert_eq!(
            state.on_event(ConnectionEvent::NetworkHint, 5_200, 0.5),
            None
        );
        assert_eq!(
            state.on_event(ConnectionEvent::NetworkHint, 5_201, 0.5),
            Some(ConnectionEffect::Connect)
        );
        state.on_event(ConnectionEvent::Opened, 5_300, 0.5);
        assert_eq!(
            state.on_event(ConnectionEvent::NetworkHint, 9_000, 0.5),
            None
        );
    }

    #[test]
    fn an_attempt_can_be_hastened_and_postponed() {
        let mut state = welcomed(Pinging, 0);
        state.hasten(5);
        assert_eq!(state.postpone(5), state.attempt());
        state.on_event(LOST, 0, 1.0);
        let attempt = state.attempt();
        state.hasten(1_000);
        assert_eq!((state.retry_at(), state.attempt()), (Some(500), attempt));
        state.hasten(100);
        assert_eq!(state.retry_at(), Some(100));
        assert_ne!(state.postpone(2_400), attempt);
        assert_eq!(state.deadline(), Some(2_400));
    }

    #[test]
    fn nothing_happens_while_no_connection_is_wanted() {
        let mut state = welcomed(Pinging, 0);
        state.on_event(LOST, 0, 1.0);
        assert_eq!(
            state.on_event(ConnectionEvent::Stop, 0, 0.5),
            Some(ConnectionEffect::Close)
        );
        for event in [
            ConnectionEvent::Stop,
            LOST,
            ConnectionEvent::RetryNow,
            ConnectionEvent::NetworkHint,
            ConnectionEvent::Timer,
        ] {
            assert_eq!(state.on_event(event, 99_000, 0.5), None);
        }
        assert_eq!((state.phase(), state.deadline()), (None, None));
        assert_eq!(
            state.on_event(ConnectionEvent::Start, 99_000, 0.5),
            Some(ConnectionEffect::Connect)
        );
        state.on_event(LOST, 99_000, 1.0);
        assert_eq!(state.retry_at(), Some(99_500), "the backoff was reset");
    }
}
