//! Timeouts and retry delays of the WebSocket.
//!
//! During a call, attempts are short and follow without delay: TCP retransmits a lost first packet only after 1, 3 and 7 s (RFC 6298). Some
//! attempts are long, because the new path may be slower.

use crate::model::{
    Millis,
    reconnect::{
        ConnectPhase, DisconnectCause, HeartbeatSource, REPLY_TIMEOUT, ReconnectPolicy,
        ReconnectState, Transition,
    },
};

const URGENT_PONG_TIMEOUT: Millis = 5_000;
/// In recent round trips.
const PROBE_TIMEOUT_RTTS: Millis = 4;
/// A shorter limit would mistake a busy page for a dead connection.
const PROBE_TIMEOUT_RANGE: std::ops::RangeInclusive<Millis> = 1_500..=2_000;
/// Doubles with each timeout, up to [`MAX_WELCOME_TIMEOUT`].
const URGENT_WELCOME_TIMEOUT: Millis = 2_500;
const MAX_WELCOME_TIMEOUT: Millis = 10_000;
/// Of successive attempts, repeated in a cycle.
const URGENT_CONNECT_TIMEOUTS: [Millis; 6] = [1_200, 1_200, 2_500, 1_200, 1_200, 5_000];
/// Lower bound, in round trips: one each for TCP, TLS and the upgrade, and slack.
const CONNECT_TIMEOUT_RTTS: Millis = 5;
/// Cap of that bound: a ping may have been slow only because the path was failing.
const MAX_RTT_CONNECT_TIMEOUT: Millis = 2_500;
/// After about fifteen failures within minutes, Chromium delays each WebSocket by seconds: later attempts wait for a health check.
const MAX_UNCHECKED_ATTEMPTS: usize = 2 * URGENT_CONNECT_TIMEOUTS.len();
/// After a health check.
const HEALTHY_CONNECT_TIMEOUT: Millis = 5_000;
/// Then an attempt is made anyway.
const MAX_FAILED_HEALTH_CHECKS: u32 = 12;
/// In milliseconds.
pub(crate) const HEALTH_CHECK_TIMEOUT: u32 = 1_200;
const MAX_URGENT_RETRY_DELAY: Millis = 1_000;
const URGENT_PING_INTERVAL: Millis = 1_500;

/// What is specific to the WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketPolicy {
    is_urgent: bool,
    is_probing: bool,
    /// Open connections lost without a welcome, since the last welcome.
    welcome_timeouts: u32,
    /// Since the last attempt.
    failed_health_checks: u32,
    /// Weighted towards slow ones; `None` before the first pong.
    round_trip: Option<Millis>,
    /// Requested by the server.
    heartbeat_interval: Millis,
    last_sent_at: Millis,
    last_received_at: Millis,
    ping_counter: u32,
    /// Number and time of the oldest unanswered ping.
    pending_ping: Option<(u32, Millis)>,
}

impl SocketPolicy {
    pub(crate) const fn new() -> Self {
        Self {
            is_urgent: false,
            is_probing: false,
            welcome_timeouts: 0,
            failed_health_checks: 0,
            round_trip: None,
            heartbeat_interval: 15_000,
            last_sent_at: 0,
            last_received_at: 0,
            ping_counter: 0,
            pending_ping: None,
        }
    }

    /// The other side of the call is silent: if the server is too, the path is dead. Returns whether a call is active.
    pub(crate) fn start_probe(&mut self) -> bool {
        self.is_probing = self.is_urgent;
        self.is_probing
    }

    pub(crate) fn set_heartbeat_interval(&mut self, interval: Millis) {
        self.heartbeat_interval = interval;
    }

    pub(crate) fn on_sent(&mut self, now: Millis) {
        self.last_sent_at = now;
    }

    pub(crate) fn start_ping(&mut self, now: Millis) -> u32 {
        self.ping_counter = self.ping_counter.wrapping_add(1);
        self.pending_ping.get_or_insert((self.ping_counter, now));
        self.ping_counter
    }

    pub(crate) fn on_pong(&mut self, number: u32, now: Millis) {
        if let Some((_, at)) = self.pending_ping.take_if(|(pinged, _)| *pinged == number) {
            self.record_round_trip(now - at);
        }
    }

    fn record_round_trip(&mut self, round_trip: Millis) {
        let before = self.round_trip.unwrap_or(0);
        let round_trip = round_trip.max((3 * before + round_trip) / 4);
        self.round_trip = Some(round_trip.min(URGENT_PONG_TIMEOUT));
    }

    /// Returns whether to connect now.
    pub(crate) fn on_health_check(&mut self, answers: bool) -> bool {
        self.failed_health_checks += 1;
        let is_reconnecting = answers || self.failed_health_checks >= MAX_FAILED_HEALTH_CHECKS;
        if is_reconnecting {
            self.failed_health_checks = 0;
        }
        is_reconnecting
    }

    fn ping_interval(&self) -> Millis {
        if self.is_urgent {
            URGENT_PING_INTERVAL
        } else {
            self.heartbeat_interval
        }
    }
}

impl ReconnectPolicy for SocketPolicy {
    const HEARTBEAT_SOURCE: HeartbeatSource = HeartbeatSource::Client;
    const STABLE_AGE: Millis = 0;

    fn on_transition(&mut self, transition: Transition, now: Millis) {
        match transition {
            Transition::Connecting => self.pending_ping = None,
            Transition::Received => {
                self.is_probing = false;
                self.last_received_at = now;
            }
            Transition::Welcomed => self.welcome_timeouts = 0,
            Transition::Lost(reached) => {
                self.is_probing = false;
                if reached == ConnectPhase::Open {
                    self.welcome_timeouts = self.welcome_timeouts.saturating_add(1);
                }
            }
            Transition::Stopped => {}
        }
    }

    fn reply_timeout(&self, phase: ConnectPhase, failures: u32) -> Millis {
        let round_trip = self.round_trip.unwrap_or(0);
        match (self.is_urgent, phase) {
            (false, _) => REPLY_TIMEOUT,
            (true, ConnectPhase::Connecting) => {
                let attempts = failed_attempts(failures);
                let timeout = if attempts < MAX_UNCHECKED_ATTEMPTS {
                    URGENT_CONNECT_TIMEOUTS[attempts % URGENT_CONNECT_TIMEOUTS.len()]
                } else {
                    HEALTHY_CONNECT_TIMEOUT
                };
                timeout.max((CONNECT_TIMEOUT_RTTS * round_trip).min(MAX_RTT_CONNECT_TIMEOUT))
            }
            (true, ConnectPhase::Open) => (URGENT_WELCOME_TIMEOUT << self.welcome_timeouts.min(2))
                .max(round_trip)
                .min(MAX_WELCOME_TIMEOUT),
            (true, ConnectPhase::Welcomed) if self.is_probing => match self.round_trip {
                Some(round_trip) => (PROBE_TIMEOUT_RTTS * round_trip)
                    .clamp(*PROBE_TIMEOUT_RANGE.start(), *PROBE_TIMEOUT_RANGE.end()),
                None => *PROBE_TIMEOUT_RANGE.end(),
            },
            (true, ConnectPhase::Welcomed) => URGENT_PONG_TIMEOUT,
        }
    }

    fn retry_delay(&self, backoff: Millis, cause: DisconnectCause) -> Millis {
        match (self.is_urgent, cause) {
            (false, _) => backoff,
            (true, DisconnectCause::ServerUnavailable) => backoff.min(MAX_URGENT_RETRY_DELAY),
            // The timeout itself was the delay.
            (true, DisconnectCause::PathTimeout) => 0,
        }
    }
}

impl ReconnectState<SocketPolicy> {
    /// A call that starts moves a scheduled attempt forward.
    pub(crate) fn set_urgent(&mut self, urgent: bool, now: Millis) {
        self.policy.is_urgent = urgent;
        self.policy.is_probing &= urgent;
        if urgent {
            self.hasten(now + MAX_URGENT_RETRY_DELAY);
        }
    }

    /// The next attempt is due and requires a health check.
    pub(crate) fn must_check_health(&self, now: Millis) -> bool {
        self.policy.is_urgent
            && failed_attempts(self.failures()) >= MAX_UNCHECKED_ATTEMPTS
            && self.retry_at().is_some_and(|at| at <= now)
    }

    pub(crate) fn is_ping_due(&self, now: Millis) -> bool {
        let policy = &self.policy;
        // On a dead connection the page may go on sending.
        let last_at = policy.last_sent_at.min(policy.last_received_at);
        self.phase().is_some()
            && !self.is_awaiting_reply()
            && now - last_at >= policy.ping_interval()
    }
}

/// The first failure is the loss of the connection itself.
fn failed_attempts(failures: u32) -> usize {
    usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reconnect::{ConnectionEffect, ConnectionEvent};

    type SocketState = ReconnectState<SocketPolicy>;

    fn urgent_state() -> SocketState {
        let mut state = SocketState::new(SocketPolicy::new());
        state.set_urgent(true, 0);
        welcome(&mut state);
        state
    }

    fn welcome(state: &mut SocketState) {
        for event in [
            ConnectionEvent::Start,
            ConnectionEvent::Opened,
            ConnectionEvent::Received,
            ConnectionEvent::Welcomed,
        ] {
            state.on_event(event, 0, 0.0);
        }
    }

    /// Returns the delay of the next attempt.
    fn time_out(state: &mut SocketState, random: f64) -> Millis {
        let phase = state.phase().expect("there is a connection");
        lose(state, phase.timeout_cause(), random)
    }

    fn lose(state: &mut SocketState, cause: DisconnectCause, random: f64) -> Millis {
        let effect = state.on_event(ConnectionEvent::Lost(cause), 0, random);
        assert_eq!(effect, Some(ConnectionEffect::BackOff));
        state.retry_at().expect("it backs off")
    }

    fn connect(state: &mut SocketState) {
        let effect = state.on_event(ConnectionEvent::RetryNow, 0, 0.0);
        assert_eq!(effect, Some(ConnectionEffect::Connect));
    }

    fn timeout(state: &SocketState) -> Millis {
        state.deadline().expect("a reply is awaited") - 1
    }

    fn pong_timeout(mut state: SocketState) -> Millis {
        state.on_event(ConnectionEvent::ReplyRequested, 0, 0.0);
        timeout(&state)
    }

    fn welcome_timeout(mut state: SocketState) -> Millis {
        state.on_event(ConnectionEvent::Start, 0, 0.0);
        state.on_event(ConnectionEvent::Opened, 0, 0.0);
        timeout(&state)
    }

    /// Fails `count` attempts after a loss; returns the timeout of each.
    fn attempt_timeouts(state: &mut SocketState, count: usize) -> Vec<Millis> {
        (0..count)
            .map(|_| {
                assert_eq!(time_out(state, 0.9), 0, "no delay after a timeout");
                connect(state);
                timeout(state)
            })
            .collect()
    }

    #[test]
    fn in_a_call_most_tries_are_short_and_one_follows_the_other() {
        let mut state = urgent_state();
        let short = [1_200, 1_200, 2_500, 1_200, 1_200, 5_000];
        assert_eq!(attempt_timeouts(&mut state, 6), short);
        let mut other = state;
        let next = attempt_timeouts(&mut other, 1);
        assert_eq!(next, [1_200], "the cycle restarts");
        time_out(&mut state, 0.9);
        assert!(!state.must_check_health(0));
        welcome(&mut state);
        assert_eq!(pong_timeout(state), 5_000);
        assert_eq!(
            attempt_timeouts(&mut state, 6),
            short,
            "each loss restarts the cycle"
        );
    }

    #[test]
    fn after_some_attempts_health_is_checked_first() {
        let mut state = urgent_state();
        assert_eq!(
            attempt_timeouts(&mut state, 12).iter().sum::<Millis>(),
            24_600
        );
        let is_checked = |state: &SocketState| {
            let mut lost = *state;
            time_out(&mut lost, 0.9);
            lost.must_check_health(0)
        };
        assert!(!state.must_check_health(0), "an attempt is in progress");
        let mut eleven = urgent_state();
        attempt_timeouts(&mut eleven, 11);
        assert!(!is_checked(&eleven));
        assert!(is_checked(&state));
        assert_eq!(attempt_timeouts(&mut state, 1), [5_000]);
        time_out(&mut state, 0.9);
        assert!(state.must_check_health(0) && !state.must_check_health(-1));
        let vain: Vec<bool> = (0..13)
            .map(|_| state.policy.on_health_check(false))
            .collect();
        assert_eq!(vain.iter().position(|reconnects| *reconnects), Some(11));
        assert!(
            !vain[12],
            "twelve more failed checks before the next attempt"
        );
        assert!(state.policy.on_health_check(true));
        state.set_urgent(false, 0);
        assert!(
            !state.must_check_health(0),
            "no health check without a call"
        );
    }

    #[test]
    fn a_slow_path_is_given_more_time_up_to_a_bound() {
        let mut state = urgent_state();
        state.policy.record_round_trip(400);
        assert_eq!(
            attempt_timeouts(&mut state, 6),
            [2_000, 2_000, 2_500, 2_000, 2_000, 5_000]
        );
        welcome(&mut state);
        state.policy.record_round_trip(4_000);
        assert_eq!(
            attempt_timeouts(&mut state, 6),
            [2_500, 2_500, 2_500, 2_500, 2_500, 5_000]
        );
        assert_eq!(welcome_timeout(state), 4_000);
    }

    #[test]
    fn one_slow_answer_is_remembered_for_a_while() {
        let mut state = urgent_state();
        assert!(state.policy.start_probe());
        state.policy.record_round_trip(450);
        assert_eq!(pong_timeout(state), 1_800);
        for _ in 0..10 {
            state.policy.record_round_trip(20);
        }
        assert_eq!(pong_timeout(state), 1_500);
    }

    #[test]
    fn a_pong_gives_the_round_trip_of_its_ping() {
        let mut state = urgent_state();
        assert!(state.policy.start_probe());
        let number = state.policy.start_ping(100);
        assert_ne!(state.policy.start_ping(200), number);
        state.policy.on_pong(number.wrapping_add(1), 300);
        assert_eq!(pong_timeout(state), 2_000, "the first ping is measured");
        state.policy.on_pong(number, 550);
        assert_eq!(pong_timeout(state), 1_800);
        state.policy.on_pong(number, 9_000);
        assert_eq!(pong_timeout(state), 1_800, "each ping counts once");
    }

    #[test]
    fn an_idle_connection_is_pinged() {
        let mut state = urgent_state();
        state.policy.on_sent(0);
        assert!(!state.is_ping_due(1_499) && state.is_ping_due(1_500));
        state.set_urgent(false, 0);
        state.policy.set_heartbeat_interval(20_000);
        assert!(!state.is_ping_due(19_999) && state.is_ping_due(20_000));
        state.on_event(ConnectionEvent::ReplyRequested, 20_000, 0.0);
        assert!(!state.is_ping_due(40_000), "a reply is outstanding");
        time_out(&mut state, 0.9);
        assert!(!state.is_ping_due(40_000), "there is no connection");
    }

    #[test]
    fn a_page_that_sends_without_an_answer_pings_too() {
        let mut state = urgent_state();
        state.set_urgent(false, 0);
        state.policy.set_heartbeat_interval(20_000);
        state.policy.on_sent(19_000);
        assert!(!state.is_ping_due(19_999) && state.is_ping_due(20_000));
        state.on_event(ConnectionEvent::Received, 19_500, 0.0);
        assert!(!state.is_ping_due(20_000));
    }

    #[test]
    fn while_probing_the_timeout_is_shorter_until_a_frame_is_received() {
        let mut state = urgent_state();
        assert_eq!(pong_timeout(state), 5_000);
        assert!(state.policy.start_probe());
        assert_eq!(pong_timeout(state), 2_000, "no ping was answered yet");
        state.on_event(ConnectionEvent::Received, 0, 0.0);
        assert_eq!(pong_timeout(state), 5_000);
        state.policy.start_probe();
        state.set_urgent(false, 0);
        assert_eq!(pong_timeout(state), 10_000);
        assert!(!state.policy.start_probe());
        state.set_urgent(true, 0);
        assert_eq!(pong_timeout(state), 5_000, "no probing without a call");
    }

    #[test]
    fn a_server_that_closes_refuses_or_is_slow_is_not_overrun() {
        let mut state = urgent_state();
        let slow = [(); 4].map(|()| {
            state.on_event(ConnectionEvent::Start, 0, 0.0);
            state.on_event(ConnectionEvent::Opened, 0, 0.0);
            (time_out(&mut state, 0.8), welcome_timeout(state))
        });
        assert_eq!(
            slow,
            [
                (400, 5_000),
                (800, 10_000),
                (1_000, 10_000),
                (1_000, 10_000)
            ]
        );
        welcome(&mut state);
        assert_eq!(welcome_timeout(state), 2_500);
        let lose_all = |state: &mut SocketState, causes: [DisconnectCause; 3]| {
            causes.map(|cause| {
                let delay = lose(state, cause, 0.8);
                connect(state);
                delay
            })
        };
        let closed = lose_all(&mut state, [DisconnectCause::ServerUnavailable; 3]);
        assert_eq!(closed, [400, 800, 1_000]);
        state.set_urgent(false, 0);
        welcome(&mut state);
        let delays = lose_all(
            &mut state,
            [
                DisconnectCause::PathTimeout,
                DisconnectCause::ServerUnavailable,
                DisconnectCause::PathTimeout,
            ],
        );
        assert_eq!(delays, [400, 800, 1_600], "without a call");
    }

    #[test]
    fn a_call_moves_a_scheduled_attempt_forward() {
        let mut state = SocketState::new(SocketPolicy::new());
        for _ in 0..7 {
            state.on_event(ConnectionEvent::Start, 0, 0.0);
            lose(&mut state, DisconnectCause::ServerUnavailable, 1.0);
        }
        assert_eq!(state.retry_at(), Some(30_000));
        state.set_urgent(false, 0);
        assert_eq!(state.retry_at(), Some(30_000));
        state.set_urgent(true, 500);
        assert_eq!(state.retry_at(), Some(1_500));
    }
}
