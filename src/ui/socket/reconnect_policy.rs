//! Timeouts and retry delays of the WebSocket, as plain data without browser access.
//!
//! A dead path loses the first packet of a connection attempt, which TCP retransmits after 1, 3 and 7 s (RFC 6298).
//! Nothing signals that a path is back: only the next packet shows it. During a call, attempts are therefore short and
//! follow each other without delay. They are longer where pings were slow, and every few attempts one is long, because
//! the new path may be slower.

use crate::model::{Millis, backoff};

/// Time limit for a pong before the connection counts as dead, in milliseconds.
const PONG_TIMEOUT: Millis = 10_000;
/// Time limit for a pong during a call, in milliseconds.
const URGENT_PONG_TIMEOUT: Millis = 5_000;
/// Pong time limit while the other side of the call is silent too, in multiples of the recent round trip.
const PROBE_TIMEOUT_RTTS: Millis = 4;
/// Bounds of the probe time limit, in milliseconds. A shorter limit would mistake a busy page for a dead connection.
const PROBE_TIMEOUT_RANGE: std::ops::RangeInclusive<Millis> = 1_500..=2_000;
/// First time limit for the server's welcome during a call, in milliseconds. It doubles with each timeout, up to
/// [`MAX_WELCOME_TIMEOUT`].
const URGENT_WELCOME_TIMEOUT: Millis = 2_500;
/// Longest time limit for the welcome, in milliseconds.
const MAX_WELCOME_TIMEOUT: Millis = 10_000;
/// Time limits of successive connection attempts during a call, in milliseconds, repeated in a cycle.
const URGENT_CONNECT_TIMEOUTS: [Millis; 6] = [1_200, 1_200, 2_500, 1_200, 1_200, 5_000];
/// Lower bound of a connection attempt's time limit, in round trips: one each for TCP, TLS and the upgrade, and slack.
const CONNECT_TIMEOUT_RTTS: Millis = 5;
/// Cap of that lower bound, in milliseconds: a recent ping may have been slow only because the path was failing.
const MAX_RTT_CONNECT_TIMEOUT: Millis = 2_500;
/// Attempts without a health check. After about fifteen failures within minutes, Chromium delays each further WebSocket
/// of a page by seconds, so later attempts wait for a successful check.
const MAX_UNCHECKED_ATTEMPTS: usize = 2 * URGENT_CONNECT_TIMEOUTS.len();
/// Time limit of a connection attempt after the health check, in milliseconds.
const HEALTHY_CONNECT_TIMEOUT: Millis = 5_000;
/// Failed health checks after which an attempt is made anyway.
const MAX_FAILED_HEALTH_CHECKS: u32 = 12;
/// Time limit of a health check, in milliseconds.
pub(super) const HEALTH_CHECK_TIMEOUT: u32 = 1_200;
/// Longest retry delay during a call, in milliseconds.
const MAX_URGENT_RETRY_DELAY: u32 = 1_000;
/// Ping interval during a call, in milliseconds.
const URGENT_PING_INTERVAL: Millis = 1_500;

/// Reason why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DisconnectCause {
    /// No packets arrive over the network path.
    PathTimeout,
    /// The server closed or refused the connection, or sent no welcome in time; it may be busy. Also used while the
    /// browser reports that it is offline.
    ServerUnavailable,
}

/// Progress of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectPhase {
    /// The WebSocket is not open yet.
    Connecting,
    /// The WebSocket is open; the welcome is outstanding.
    Open,
    /// The server has sent its welcome.
    Welcomed,
}

impl ConnectPhase {
    /// The cause that a timeout in this phase indicates.
    pub(super) fn timeout_cause(self) -> DisconnectCause {
        match self {
            Self::Connecting | Self::Welcomed => DisconnectCause::PathTimeout,
            Self::Open => DisconnectCause::ServerUnavailable,
        }
    }
}

/// State from which timeouts and delays are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReconnectPolicy {
    /// Whether a call is active.
    is_urgent: bool,
    /// Whether the other side of the call is silent.
    is_probing: bool,
    /// Lost connections and failed attempts since the last welcome.
    failures: u32,
    /// Open connections lost without a welcome, since the last welcome.
    welcome_timeouts: u32,
    /// Failed health checks since the last attempt.
    failed_health_checks: u32,
    /// Recent round trip in milliseconds, weighted towards slow ones. `None` before the first pong.
    round_trip: Option<Millis>,
    /// Ping interval requested by the server, in milliseconds.
    heartbeat_interval: Millis,
}

impl ReconnectPolicy {
    pub(super) const fn new() -> Self {
        Self {
            is_urgent: false,
            is_probing: false,
            failures: 0,
            welcome_timeouts: 0,
            failed_health_checks: 0,
            round_trip: None,
            heartbeat_interval: 15_000,
        }
    }

    pub(super) fn set_urgent(&mut self, urgent: bool) {
        self.is_urgent = urgent;
        self.is_probing &= urgent;
    }

    /// Returns whether a call is active.
    pub(super) fn is_urgent(self) -> bool {
        self.is_urgent
    }

    /// Starts probing: the other side of the call is silent, and if the server is too, the path is dead.
    pub(super) fn start_probe(&mut self) {
        self.is_probing = self.is_urgent;
    }

    /// Records a received frame, which ends probing.
    pub(super) fn on_frame(&mut self) {
        self.is_probing = false;
    }

    /// Records the server's welcome and its requested ping interval in milliseconds.
    pub(super) fn on_welcome(&mut self, heartbeat: Millis) {
        self.failures = 0;
        self.welcome_timeouts = 0;
        self.heartbeat_interval = heartbeat;
    }

    /// Records a ping's round trip in milliseconds.
    pub(super) fn record_round_trip(&mut self, round: Millis) {
        let before = self.round_trip.unwrap_or(0);
        let round = round.max((3 * before + round) / 4);
        self.round_trip = Some(round.min(URGENT_PONG_TIMEOUT));
    }

    /// Records a lost or failed connection and the phase it had reached; returns the retry delay in milliseconds.
    /// `random` is in `0.0..1.0`, for jitter.
    pub(super) fn on_disconnect(
        &mut self,
        loss: DisconnectCause,
        reached: ConnectPhase,
        random: f64,
    ) -> Millis {
        let wait = backoff::retry_delay(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        if reached == ConnectPhase::Open {
            self.welcome_timeouts = self.welcome_timeouts.saturating_add(1);
        }
        self.is_probing = false;
        match (self.is_urgent, loss) {
            (false, _) => wait.into(),
            (true, DisconnectCause::ServerUnavailable) => wait.min(MAX_URGENT_RETRY_DELAY).into(),
            // The timeout itself was the delay.
            (true, DisconnectCause::PathTimeout) => 0,
        }
    }

    /// Returns whether the next attempt requires a health check.
    pub(super) fn should_check_health(self) -> bool {
        self.is_urgent && self.failed_attempts() >= MAX_UNCHECKED_ATTEMPTS
    }

    /// Records the result of a health check; returns whether to connect now.
    pub(super) fn on_health_check(&mut self, answers: bool) -> bool {
        self.failed_health_checks += 1;
        let tries = answers || self.failed_health_checks >= MAX_FAILED_HEALTH_CHECKS;
        if tries {
            self.failed_health_checks = 0;
        }
        tries
    }

    /// Shortens a pending retry delay, in milliseconds, when a call starts.
    pub(super) fn cap_urgent_delay(wait: Millis) -> Millis {
        wait.min(MAX_URGENT_RETRY_DELAY.into())
    }

    /// Time limit for a reply in the given phase before the connection counts as dead, in milliseconds.
    pub(super) fn reply_timeout(self, reached: ConnectPhase) -> Millis {
        let round = self.round_trip.unwrap_or(0);
        match (self.is_urgent, reached) {
            (false, _) => PONG_TIMEOUT,
            (true, ConnectPhase::Connecting) => {
                let tries = self.failed_attempts();
                let given = if tries < MAX_UNCHECKED_ATTEMPTS {
                    URGENT_CONNECT_TIMEOUTS[tries % URGENT_CONNECT_TIMEOUTS.len()]
                } else {
                    HEALTHY_CONNECT_TIMEOUT
                };
                given.max((CONNECT_TIMEOUT_RTTS * round).min(MAX_RTT_CONNECT_TIMEOUT))
            }
            (true, ConnectPhase::Open) => (URGENT_WELCOME_TIMEOUT << self.welcome_timeouts.min(2))
                .max(round)
                .min(MAX_WELCOME_TIMEOUT),
            (true, ConnectPhase::Welcomed) if self.is_probing => match self.round_trip {
                Some(round) => (PROBE_TIMEOUT_RTTS * round)
                    .clamp(*PROBE_TIMEOUT_RANGE.start(), *PROBE_TIMEOUT_RANGE.end()),
                None => *PROBE_TIMEOUT_RANGE.end(),
            },
            (true, ConnectPhase::Welcomed) => URGENT_PONG_TIMEOUT,
        }
    }

    /// The ping interval, in milliseconds.
    pub(super) fn ping_interval(self) -> Millis {
        if self.is_urgent {
            URGENT_PING_INTERVAL
        } else {
            self.heartbeat_interval
        }
    }

    /// Number of failed attempts: the first failure is the loss of the connection itself.
    fn failed_attempts(self) -> usize {
        usize::try_from(self.failures.saturating_sub(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urgent_policy() -> ReconnectPolicy {
        let mut patience = ReconnectPolicy::new();
        patience.set_urgent(true);
        patience
    }

    /// Loses a welcomed connection, then fails `count` attempts; returns the time limit of each.
    fn attempt_timeouts(patience: &mut ReconnectPolicy, count: usize) -> Vec<Millis> {
        let mut reached = ConnectPhase::Welcomed;
        (0..count)
            .map(|_| {
                assert_eq!(
                    patience.on_disconnect(reached.timeout_cause(), reached, 0.9),
                    0,
                    "no delay after a timeout"
                );
                reached = ConnectPhase::Connecting;
                patience.reply_timeout(reached)
            })
            .collect()
    }

    #[test]
    fn in_a_call_most_tries_are_short_and_one_follows_the_other() {
        let mut patience = urgent_policy();
        let short = [1_200, 1_200, 2_500, 1_200, 1_200, 5_000];
        assert_eq!(attempt_timeouts(&mut patience, 6), short);
        let (mut again, greeted) = (patience, ConnectPhase::Welcomed);
        assert_eq!(
            again.on_disconnect(DisconnectCause::PathTimeout, ConnectPhase::Connecting, 0.9),
            0
        );
        assert_eq!(
            again.reply_timeout(ConnectPhase::Connecting),
            1_200,
            "the cycle restarts"
        );
        assert!(!again.should_check_health() && again.reply_timeout(greeted) == 5_000);
        patience.on_welcome(15_000);
        assert_eq!(
            attempt_timeouts(&mut patience, 6),
            short,
            "each loss restarts the cycle"
        );
    }

    #[test]
    fn after_some_attempts_health_is_checked_first() {
        let mut patience = urgent_policy();
        assert_eq!(
            attempt_timeouts(&mut patience, 12).iter().sum::<Millis>(),
            24_600
        );
        assert!(!patience.should_check_health());
        assert_eq!(attempt_timeouts(&mut patience, 1), [5_000]);
        assert!(patience.should_check_health());
        let vain: Vec<bool> = (0..13).map(|_| patience.on_health_check(false)).collect();
        assert_eq!(vain.iter().position(|tries| *tries), Some(11));
        assert!(
            !vain[12],
            "twelve more failed checks before the next attempt"
        );
        assert!(patience.on_health_check(true));
        patience.set_urgent(false);
        assert!(
            !patience.should_check_health(),
            "no health check without a call"
        );
    }

    #[test]
    fn a_slow_path_is_given_more_time_up_to_a_bound() {
        let mut patience = urgent_policy();
        patience.record_round_trip(400);
        assert_eq!(
            attempt_timeouts(&mut patience, 6),
            [2_000, 2_000, 2_500, 2_000, 2_000, 5_000]
        );
        patience.on_welcome(15_000);
        patience.record_round_trip(4_000);
        assert_eq!(
            attempt_timeouts(&mut patience, 6),
            [2_500, 2_500, 2_500, 2_500, 2_500, 5_000]
        );
        assert_eq!(patience.reply_timeout(ConnectPhase::Open), 4_000);
    }

    #[test]
    fn one_slow_answer_is_remembered_for_a_while() {
        let mut patience = urgent_policy();
        patience.start_probe();
        patience.record_round_trip(450);
        assert_eq!(patience.reply_timeout(ConnectPhase::Welcomed), 1_800);
        for _ in 0..10 {
            patience.record_round_trip(20);
        }
        assert_eq!(patience.reply_timeout(ConnectPhase::Welcomed), 1_500);
    }

    #[test]
    fn while_probing_the_timeout_is_shorter_until_a_frame_is_received() {
        let mut patience = urgent_policy();
        assert_eq!(patience.reply_timeout(ConnectPhase::Welcomed), 5_000);
        patience.start_probe();
        assert_eq!(
            patience.reply_timeout(ConnectPhase::Welcomed),
            2_000,
            "no ping was answered yet"
        );
        patience.on_frame();
        assert_eq!(patience.reply_timeout(ConnectPhase::Welcomed), 5_000);
        patience.start_probe();
        patience.set_urgent(false);
        assert_eq!(patience.reply_timeout(ConnectPhase::Welcomed), 10_000);
        patience.start_probe();
        patience.set_urgent(true);
        assert_eq!(
            patience.reply_timeout(ConnectPhase::Welcomed),
            5_000,
            "no probing without a call"
        );
    }

    #[test]
    fn a_server_that_closes_refuses_or_is_slow_is_not_overrun() {
        let mut patience = urgent_policy();
        let mut lose = |reached: ConnectPhase| {
            let loss = reached.timeout_cause();
            (
                patience.on_disconnect(loss, reached, 0.8),
                patience.reply_timeout(ConnectPhase::Open),
            )
        };
        let slow = [(); 4].map(|()| lose(ConnectPhase::Open));
        assert_eq!(
            slow,
            [
                (400, 5_000),
                (800, 10_000),
                (1_000, 10_000),
                (1_000, 10_000)
            ]
        );
        patience.on_welcome(20_000);
        assert_eq!(patience.reply_timeout(ConnectPhase::Open), 2_500);
        let closed = [(); 3].map(|()| {
            patience.on_disconnect(
                DisconnectCause::ServerUnavailable,
                ConnectPhase::Welcomed,
                0.8,
            )
        });
        assert_eq!(closed, [400, 800, 1_000]);
        patience.set_urgent(false);
        patience.on_welcome(20_000);
        let waits = [
            DisconnectCause::PathTimeout,
            DisconnectCause::ServerUnavailable,
            DisconnectCause::PathTimeout,
        ]
        .map(|loss| patience.on_disconnect(loss, ConnectPhase::Connecting, 0.8));
        assert_eq!(waits, [400, 800, 1_600], "without a call");
        assert_eq!(
            (
                patience.ping_interval(),
                ReconnectPolicy::cap_urgent_delay(30_000)
            ),
            (20_000, 1_000)
        );
    }
}
