//! How much one page may send to the other through the server.
//!
//! What is relayed lands in the queue of somebody else's connection, which is closed when it overflows. So it is bounded
//! where it comes in: what a call needs passes, a flood does not.

use crate::model::{Millis, call::Signal};

/// This many bytes at once: several descriptions with all their candidates (one of each takes about 10 kB), and below what
/// may wait for a connection.
const BURST: i64 = 128 * 1_024;
/// And this many more each second.
const PER_SECOND: i64 = 8 * 1_024;

/// What one side may still send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    bytes: i64,
    at: Millis,
}

impl Budget {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            bytes: BURST,
            at: now,
        }
    }

    /// Whether a signal may pass now; a yes is counted.
    pub(super) fn allow(&mut self, signal: &Signal, now: Millis) -> bool {
        let gained = (now - self.at).max(0).saturating_mul(PER_SECOND) / 1_000;
        let bytes = self.bytes.saturating_add(gained).min(BURST) - size(signal);
        let allowed = bytes >= 0;
        if allowed {
            *self = Self { bytes, at: now };
        }
        allowed
    }
}

/// What the caller said before anybody answered: for pages of the callee that come while it rings.
#[derive(Debug, Default)]
pub(super) struct Early {
    said: Vec<Signal>,
}

/// The most that is kept: far more candidates than a browser finds.
const KEPT: usize = 200;

impl Early {
    /// Whether it may be said before an answer.
    pub(super) fn takes(signal: &Signal) -> bool {
        match signal {
            Signal::Offer { .. } | Signal::Candidate { .. } => true,
            Signal::Answer { .. } | Signal::Pranswer { .. } | Signal::Restart => false,
        }
    }

    /// Keeps it. An offer takes the place of what was said before it.
    pub(super) fn keep(&mut self, signal: &Signal) {
        if matches!(signal, Signal::Offer { .. }) {
            self.said.clear();
        }
        if self.said.len() < KEPT {
            self.said.push(signal.clone());
        }
    }

    /// All of it, in order.
    pub(super) fn said(&self) -> &[Signal] {
        &self.said
    }
}

/// About how many bytes a signal takes on the wire.
fn size(signal: &Signal) -> i64 {
    let text = match signal {
        Signal::Offer { sdp } | Signal::Answer { sdp } | Signal::Pranswer { sdp } => sdp.len(),
        Signal::Candidate {
            candidate, sdp_mid, ..
        } => candidate.len() + sdp_mid.as_ref().map_or(0, String::len),
        Signal::Restart => 0,
    };
    i64::try_from(text + 128).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(bytes: usize) -> Signal {
        Signal::Offer {
            sdp: "v".repeat(bytes),
        }
    }

    #[test]
    fn what_a_call_needs_passes_and_a_flood_does_not() {
        let mut budget = Budget::new(0);
        let passed = (0..1_000)
            .filter(|_| budget.allow(&offer(10_000), 0))
            .count();
        assert_eq!(passed, 12);
        assert!(
            !budget.allow(&offer(10_000), 50),
            "what is left is too little"
        );
        assert!(budget.allow(&offer(10_000), 100), "more comes free in time");
        assert!(!budget.allow(&offer(10_000), 100));
    }

    #[test]
    fn of_what_is_said_early_the_last_offer_and_its_candidates_are_kept() {
        let mut early = Early::default();
        let candidate = |n: usize| Signal::Candidate {
            candidate: n.to_string(),
            sdp_mid: None,
            sdp_m_line_index: None,
        };
        for signal in [offer(1), candidate(1), offer(2), candidate(2), candidate(3)] {
            assert!(Early::takes(&signal));
            early.keep(&signal);
        }
        assert_eq!(early.said(), [offer(2), candidate(2), candidate(3)]);
        (0..1_000).for_each(|n| early.keep(&candidate(n)));
        assert_eq!(early.said().len(), KEPT);
        assert!(!Early::takes(&Signal::Restart));
    }

    #[test]
    fn being_quiet_saves_up_no_more_than_the_burst() {
        let mut budget = Budget::new(0);
        assert!(!budget.allow(&offer(200_000), 1_000_000));
    }
}
