//! Recovery of a lost path.
//!
//! Measured: browsers report `disconnected` after about 7 s and `failed` after 17 s. A path lost for longer, or with a
//! changed address, recovers only with an ICE restart (RFC 8445 section 2.4).

use crate::model::{Millis, call::Side};

/// State of a media path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PathState {
    #[default]
    Connecting,
    Connected,
    /// ICE restarts until it recovers.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::calls::client) enum RecoveryStep {
    RequestRestart,
    ResendOffer,
    RestartIce,
    /// An offer was just sent.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::calls::client) struct Recovery {
    path: PathState,
    /// Since the last loss.
    attempts: u32,
    offered_at: Option<Millis>,
    check_generation: u32,
}

/// Earlier offers would abort the previous restart.
const MIN_OFFER_INTERVAL: Millis = 2_000;
/// Milliseconds; each attempt adds 2 s, up to the maximum.
const INITIAL_RETRY_DELAY: i32 = 4_000;
const MAX_RETRY_DELAY: i32 = 15_000;

impl Recovery {
    /// Milliseconds before acting on `disconnected`, which often recovers by itself.
    pub(in crate::calls::client) const DISCONNECTED_DELAY: i32 = 1_000;

    pub(in crate::calls::client) fn mark_connected(&mut self) {
        *self = Self {
            path: PathState::Connected,
            attempts: 0,
            offered_at: self.offered_at,
            check_generation: self.check_generation + 1,
        };
    }

    pub(in crate::calls::client) fn has_ever_connected(&self) -> bool {
        self.path != PathState::Connecting
    }

    pub(in crate::calls::client) fn record_offer(&mut self, now: Millis) {
        self.offered_at = Some(now);
    }

    /// Cancels earlier checks.
    pub(in crate::calls::client) fn schedule_check(&mut self) -> u32 {
        self.check_generation += 1;
        self.check_generation
    }

    pub(in crate::calls::client) fn is_check_current(&self, generation: u32) -> bool {
        self.check_generation == generation
    }

    /// Returns the step, and milliseconds until the next check. `has_network_changed` covers the time since the last
    /// offer.
    pub(in crate::calls::client) fn next_step(
        &mut self,
        side: Side,
        is_offer_pending: bool,
        has_network_changed: bool,
        now: Millis,
    ) -> (RecoveryStep, i32) {
        let more = i32::try_from(self.attempts)
            .unwrap_or(i32::MAX)
            .saturating_mul(2_000);
        let retry_delay = INITIAL_RETRY_DELAY
            .saturating_add(more)
            .min(MAX_RETRY_DELAY);
        self.attempts = self.attempts.saturating_add(1);
        let just_offered = self
            .offered_at
            .is_some_and(|at| now - at < MIN_OFFER_INTERVAL);
        let step = match side {
            Side::Callee => RecoveryStep::RequestRestart,
            // Candidates gathered without a network, or in another one, are useless.
            Side::Caller if has_network_changed || !just_offered => RecoveryStep::RestartIce,
            Side::Caller if is_offer_pending => RecoveryStep::ResendOffer,
            Side::Caller => RecoveryStep::Wait,
        };
        (step, retry_delay)
    }

    /// True if the path was connected before.
    pub(in crate::calls::client) fn mark_lost(&mut self) -> bool {
        let was_connected = self.path == PathState::Connected;
        if was_connected {
            self.path = PathState::Lost;
        }
        was_connected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_caller_makes_offers_and_the_callee_requests_them() {
        let mut recovery = Recovery::default();
        assert_eq!(
            recovery.next_step(Side::Callee, false, false, 0).0,
            RecoveryStep::RequestRestart
        );
        assert_eq!(
            recovery.next_step(Side::Caller, false, false, 0).0,
            RecoveryStep::RestartIce
        );
        recovery.record_offer(0);
        assert_eq!(
            recovery.next_step(Side::Caller, true, false, 100).0,
            RecoveryStep::ResendOffer,
            "the one before may be lost"
        );
        let next_step = |recovery: &mut Recovery, pending, back, now| {
            recovery.next_step(Side::Caller, pending, back, now).0
        };
        assert_eq!(
            next_step(&mut recovery, false, false, 1_999),
            RecoveryStep::Wait
        );
        assert_eq!(
            next_step(&mut recovery, false, false, 2_000),
            RecoveryStep::RestartIce
        );
        assert_eq!(
            next_step(&mut recovery, true, false, 2_000),
            RecoveryStep::RestartIce,
            "nobody answers an offer of a former network"
        );
        assert_eq!(
            next_step(&mut recovery, true, true, 100),
            RecoveryStep::RestartIce
        );
    }

    #[test]
    fn each_retry_waits_longer() {
        let mut recovery = Recovery::default();
        let waits: Vec<i32> = (0..8)
            .map(|_| recovery.next_step(Side::Caller, false, false, 0).1)
            .collect();
        assert_eq!(
            waits,
            [4_000, 6_000, 8_000, 10_000, 12_000, 14_000, 15_000, 15_000]
        );
        recovery.mark_connected();
        assert_eq!(
            recovery.next_step(Side::Caller, false, false, 0).1,
            4_000,
            "each loss begins anew"
        );
    }

    #[test]
    fn a_loss_is_reported_once() {
        let mut recovery = Recovery::default();
        assert!(!recovery.mark_lost(), "there was no path yet");
        recovery.mark_connected();
        assert!(recovery.mark_lost());
        assert!(!recovery.mark_lost());
    }

    #[test]
    fn connecting_cancels_scheduled_checks() {
        let mut recovery = Recovery::default();
        let first = recovery.schedule_check();
        let second = recovery.schedule_check();
        assert!(!recovery.is_check_current(first) && recovery.is_check_current(second));
        recovery.mark_connected();
        assert!(!recovery.is_check_current(second));
    }
}
