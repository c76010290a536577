//! How long a page waits for its server, and how soon it tries again: plain data, no browser in it.
//!
//! A path that is dead swallows the first packet of a try to connect, and the system sends it again after 1, 3 and 7 s (RFC 6298). Of a
//! path that comes back nobody is told: it is found by the next packet. So in a call, where everybody waits for it, tries are short and
//! follow each other closely; where pings took long, longer; and now and then one is long, for the path may be another one.

use crate::model::{Millis, backoff};

/// How long an unanswered ping may take before the path counts as dead, in milliseconds.
const PONG_TIMEOUT: Millis = 10_000;
/// The same while a call is on.
const URGENT_PONG_TIMEOUT: Millis = 5_000;
/// The same where the other side of the call is not heard either, by how long the last pings took: so many times as long, and
const PROBE_TIMEOUT_RTTS: Millis = 4;
/// between so many milliseconds. A page that is short of time by less than that is not noticed by anybody.
const PROBE_TIMEOUT_RANGE: std::ops::RangeInclusive<Millis> = 1_500..=2_000;
/// How long the server may take to greet a page that has reached it while a call is on, in milliseconds, the first time; twice as long
/// after each time that it did not, up to the bound.
const URGENT_WELCOME_TIMEOUT: Millis = 2_500;
const MAX_WELCOME_TIMEOUT: Millis = 10_000;
/// How long a try may take while a call is on, in milliseconds, one after another,
const URGENT_CONNECT_TIMEOUTS: [Millis; 6] = [1_200, 1_200, 2_500, 1_200, 1_200, 5_000];
/// and on a path where pings took long so many times as long as they did: there and back for TCP, TLS and the upgrade each, and room; up to
const CONNECT_TIMEOUT_RTTS: Millis = 5;
/// so long, for one of the last may have been slow because the path was about to be lost.
const MAX_RTT_CONNECT_TIMEOUT: Millis = 2_500;
/// After so many of them, a page looks whether the server answers at all before it tries: Chromium makes a page that tried in vain about
/// fifteen times in some minutes wait for seconds at each further WebSocket.
const MAX_UNCHECKED_ATTEMPTS: usize = 2 * URGENT_CONNECT_TIMEOUTS.len();
/// What it has found is given so long, in milliseconds.
const HEALTHY_CONNECT_TIMEOUT: Millis = 5_000;
/// So often it may look in vain before it tries all the same.
const MAX_FAILED_HEALTH_CHECKS: u32 = 12;
/// How long a look may take, in milliseconds.
pub(super) const HEALTH_CHECK_TIMEOUT: u32 = 1_200;
/// The longest wait before the next try while a call is on, in milliseconds.
const MAX_URGENT_RETRY_DELAY: u32 = 1_000;
/// How often to ping while a call is on, in milliseconds.
const URGENT_PING_INTERVAL: Millis = 1_500;

/// Why there is no connection, or no longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DisconnectCause {
    /// Nothing comes by this path.
    PathTimeout,
    /// The server closed, refused, or did not greet in time: it is there, and may have many others to see to. Also where the browser says
    /// itself that it has no network: then there is nothing to hurry for.
    ServerUnavailable,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectPhase {
    /// Nothing came yet.
    Connecting,
    /// The server, which has not greeted yet.
    Open,
    /// Greeted.
    Welcomed,
}

impl ConnectPhase {
    /// What it means if nothing more comes.
    pub(super) fn timeout_cause(self) -> DisconnectCause {
        match self {
            Self::Connecting | Self::Welcomed => DisconnectCause::PathTimeout,
            Self::Open => DisconnectCause::ServerUnavailable,
        }
    }
}

/// What the waiting goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReconnectPolicy {
    /// A call is on.
    is_urgent: bool,
    /// The other side of the call is not heard.
    is_probing: bool,
    /// How often a connection was lost or not made since the last greeting.
    failures: u32,
    /// How often the server was reached and did not greet in time since the last greeting.
    welcome_timeouts: u32,
    /// Looks in vain since the last try.
    failed_health_checks: u32,
    /// How long the last pings took to be answered, in milliseconds: the slow ones weigh more. None was before the first.
    round_trip: Option<Millis>,
    /// How often the server wants to be pinged, in milliseconds.
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

    /// Whether a call is on.
    pub(super) fn is_urgent(self) -> bool {
        self.is_urgent
    }

    /// The other side of a call is not heard: if the server is not either, it is the path.
    pub(super) fn start_probe(&mut self) {
        self.is_probing = self.is_urgent;
    }

    /// Something was heard.
    pub(super) fn on_frame(&mut self) {
        self.is_probing = false;
    }

    /// The server has greeted, and wants to be pinged so often (in milliseconds).
    pub(super) fn on_welcome(&mut self, heartbeat: Millis) {
        self.failures = 0;
        self.welcome_timeouts = 0;
        self.heartbeat_interval = heartbeat;
    }

    /// A ping was answered after so many milliseconds.
    pub(super) fn record_round_trip(&mut self, round: Millis) {
        let before = self.round_trip.unwrap_or(0);
        let round = round.max((3 * before + round) / 4);
        self.round_trip = Some(round.min(URGENT_PONG_TIMEOUT));
    }

    /// The connection is lost, or there was none, and it was so far: how long to wait before the next try, in milliseconds. `random` is a
    /// number from 0 (included) to 1 (excluded).
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
            // It took its time already.
            (true, DisconnectCause::PathTimeout) => 0,
        }
    }

    /// Whether to look if the server answers before the next try.
    pub(super) fn should_check_health(self) -> bool {
        self.is_urgent && self.failed_attempts() >= MAX_UNCHECKED_ATTEMPTS
    }

    /// It was looked whether the server answers: true if it is time for a try.
    pub(super) fn on_health_check(&mut self, answers: bool) -> bool {
        self.failed_health_checks += 1;
        let tries = answers || self.failed_health_checks >= MAX_FAILED_HEALTH_CHECKS;
        if tries {
            self.failed_health_checks = 0;
        }
        tries
    }

    /// A call is on from now on: how long there still is to wait, in milliseconds, if it was so long.
    pub(super) fn cap_urgent_delay(wait: Millis) -> Millis {
        wait.min(MAX_URGENT_RETRY_DELAY.into())
    }

    /// How long nothing may be heard after something was asked for before the path counts as dead, in milliseconds.
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

    /// How often to ping, in milliseconds.
    pub(super) fn ping_interval(self) -> Millis {
        if self.is_urgent {
            URGENT_PING_INTERVAL
        } else {
            self.heartbeat_interval
        }
    }

    /// How many tries led to nothing: the first failure is the loss of the connection itself.
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

    /// A greeted connection is lost, and so many tries after it: how long each of those was given.
    fn attempt_timeouts(patience: &mut ReconnectPolicy, count: usize) -> Vec<Millis> {
        let mut reached = ConnectPhase::Welcomed;
        (0..count)
            .map(|_| {
                assert_eq!(
                    patience.on_disconnect(reached.timeout_cause(), reached, 0.9),
                    0,
                    "it took its time"
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
            "from the first"
        );
        assert!(!again.should_check_health() && again.reply_timeout(greeted) == 5_000);
        patience.on_welcome(15_000);
        assert_eq!(
            attempt_timeouts(&mut patience, 6),
            short,
            "each loss begins anew"
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
        assert!(!vain[12], "and twelve more before the next");
        assert!(patience.on_health_check(true));
        patience.set_urgent(false);
        assert!(
            !patience.should_check_health(),
            "without a call there is time"
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
            "nobody doubts without a call"
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
