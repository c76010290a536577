//! When a lost path is looked for again, and by what means: plain data, no browser in it.
//!
//! Measured: a browser takes about 7 s to call a path disconnected and 17 s to call it failed, and a path that was lost for
//! longer, or whose address changed, comes back only with an ICE restart (RFC 8445 section 2.4).

use crate::model::{Millis, call::Side};

/// What to do about a lost path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Ask the caller for a restart.
    Ask,
    /// Say the offer again that is not answered yet.
    SayAgain,
    /// Make an offer that restarts ICE.
    Restart,
    /// Nothing now: an offer was made a moment ago.
    Wait,
}

/// What is known about the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Recovery {
    /// Whether there was a path since the last loss.
    had_path: bool,
    /// Whether there ever was one.
    had_any: bool,
    /// Tries since the last loss.
    tries: u32,
    /// When the last offer was made.
    offered_at: Option<Millis>,
    /// Counts plans: only the latest one is carried out.
    plan: u32,
}

/// Between two offers that restart ICE, in milliseconds: less would cut off the one before.
const BETWEEN_OFFERS: Millis = 2_000;
/// How long a try is given, in milliseconds; each further one is given 2 s more, up to the bound.
const FIRST_TRY: i32 = 4_000;
const LONGEST_TRY: i32 = 15_000;

impl Recovery {
    /// `disconnected` often passes by itself: how long to wait before acting on it, in milliseconds.
    pub(super) const HESITATION: i32 = 1_000;

    /// There is a path.
    pub(super) fn found(&mut self) {
        *self = Self {
            had_path: true,
            had_any: true,
            tries: 0,
            offered_at: self.offered_at,
            plan: self.plan + 1,
        };
    }

    /// Whether there ever was a path.
    pub(super) fn has_had_path(&self) -> bool {
        self.had_any
    }

    /// An offer was made.
    pub(super) fn offered(&mut self, now: Millis) {
        self.offered_at = Some(now);
    }

    /// Something is planned; whatever was planned before is off.
    pub(super) fn plan(&mut self) -> u32 {
        self.plan += 1;
        self.plan
    }

    /// Whether a plan still stands.
    pub(super) fn is_planned(&self, plan: u32) -> bool {
        self.plan == plan
    }

    /// The path is lost, or the other side says so: what to do, and when to look again (in milliseconds). `pending` says that
    /// an offer is not answered yet, `back` that the network may be another one than when it was made.
    pub(super) fn look(
        &mut self,
        side: Side,
        pending: bool,
        back: bool,
        now: Millis,
    ) -> (Means, i32) {
        let more = i32::try_from(self.tries)
            .unwrap_or(i32::MAX)
            .saturating_mul(2_000);
        let again = FIRST_TRY.saturating_add(more).min(LONGEST_TRY);
        self.tries = self.tries.saturating_add(1);
        let just_offered = self.offered_at.is_some_and(|at| now - at < BETWEEN_OFFERS);
        let means = match side {
            Side::Callee => Means::Ask,
            // What was found without a network, or in another one, leads nowhere.
            Side::Caller if back || !just_offered => Means::Restart,
            Side::Caller if pending => Means::SayAgain,
            Side::Caller => Means::Wait,
        };
        (means, again)
    }

    /// The path is lost. True if that is news.
    pub(super) fn lost(&mut self) -> bool {
        std::mem::take(&mut self.had_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_caller_makes_offers_and_the_callee_asks_for_them() {
        let mut recovery = Recovery::default();
        assert_eq!(recovery.look(Side::Callee, false, false, 0).0, Means::Ask);
        assert_eq!(
            recovery.look(Side::Caller, false, false, 0).0,
            Means::Restart
        );
        recovery.offered(0);
        assert_eq!(
            recovery.look(Side::Caller, true, false, 100).0,
            Means::SayAgain,
            "the one before may be lost"
        );
        let look = |recovery: &mut Recovery, pending, back, now| {
            recovery.look(Side::Caller, pending, back, now).0
        };
        assert_eq!(look(&mut recovery, false, false, 1_999), Means::Wait);
        assert_eq!(look(&mut recovery, false, false, 2_000), Means::Restart);
        assert_eq!(
            look(&mut recovery, true, false, 2_000),
            Means::Restart,
            "nobody answers an offer of a former network"
        );
        assert_eq!(look(&mut recovery, true, true, 100), Means::Restart);
    }

    #[test]
    fn it_goes_on_trying_with_more_patience_each_time() {
        let mut recovery = Recovery::default();
        let waits: Vec<i32> = (0..8)
            .map(|_| recovery.look(Side::Caller, false, false, 0).1)
            .collect();
        assert_eq!(
            waits,
            [4_000, 6_000, 8_000, 10_000, 12_000, 14_000, 15_000, 15_000]
        );
        recovery.found();
        assert_eq!(
            recovery.look(Side::Caller, false, false, 0).1,
            4_000,
            "each loss begins anew"
        );
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut recovery = Recovery::default();
        assert!(!recovery.lost(), "there was no path yet");
        recovery.found();
        assert!(recovery.lost());
        assert!(!recovery.lost());
    }

    #[test]
    fn a_path_that_is_found_calls_off_what_was_planned() {
        let mut recovery = Recovery::default();
        let first = recovery.plan();
        let second = recovery.plan();
        assert!(!recovery.is_planned(first) && recovery.is_planned(second));
        recovery.found();
        assert!(!recovery.is_planned(second));
    }
}
