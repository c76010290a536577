//! Rate limit of the signals from one client to another: a flood would overflow the receiver's send queue, which closes its connection.

use crate::model::{Millis, call::SignalingMessage, limits};
use std::time::Duration;

const BURST_BYTES: i64 = limits::SIGNAL_BURST_BYTES as i64;
const REFILL_BYTES_PER_SECOND: i64 = limits::SIGNAL_BYTES_PER_SECOND as i64;

#[derive(Debug, Clone, Copy)]
pub(super) struct SignalBudget {
    available_bytes: i64,
    refilled_at: Millis,
}

impl SignalBudget {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            available_bytes: BURST_BYTES,
            refilled_at: now,
        }
    }

    /// Deducts the signal's size, or says how long until it may pass.
    pub(super) fn take(&mut self, signal: &SignalingMessage, now: Millis) -> Result<(), Duration> {
        let gained = (now - self.refilled_at)
            .max(0)
            .saturating_mul(REFILL_BYTES_PER_SECOND)
            / 1_000;
        let bytes =
            self.available_bytes.saturating_add(gained).min(BURST_BYTES) - wire_size(signal);
        if bytes < 0 {
            let missing = bytes.unsigned_abs();
            let millis = (1_000 * missing).div_ceil(REFILL_BYTES_PER_SECOND.unsigned_abs());
            return Err(Duration::from_millis(millis));
        }
        *self = Self {
            available_bytes: bytes,
            refilled_at: now,
        };
        Ok(())
    }
}

/// The caller's signals, for the callee's clients that connect while it rings.
#[derive(Debug, Default)]
pub(super) struct EarlySignals {
    signals: Vec<SignalingMessage>,
}

/// Far more than a browser's candidates.
const MAX_EARLY_SIGNALS: usize = 200;

impl EarlySignals {
    pub(super) fn accepts(signal: &SignalingMessage) -> bool {
        match signal {
            SignalingMessage::Offer { .. } | SignalingMessage::Candidate { .. } => true,
            SignalingMessage::Answer { .. }
            | SignalingMessage::Pranswer { .. }
            | SignalingMessage::RestartIce => false,
        }
    }

    /// An offer replaces all earlier signals.
    pub(super) fn push(&mut self, signal: &SignalingMessage) {
        if matches!(signal, SignalingMessage::Offer { .. }) {
            self.signals.clear();
        }
        if self.signals.len() < MAX_EARLY_SIGNALS {
            self.signals.push(signal.clone());
        }
    }

    pub(super) fn signals(&self) -> &[SignalingMessage] {
        &self.signals
    }
}

/// Approximate, in bytes.
fn wire_size(signal: &SignalingMessage) -> i64 {
    let text = match signal {
        SignalingMessage::Offer { sdp }
        | SignalingMessage::Answer { sdp }
        | SignalingMessage::Pranswer { sdp } => sdp.len(),
        SignalingMessage::Candidate {
            candidate, sdp_mid, ..
        } => candidate.len() + sdp_mid.as_ref().map_or(0, String::len),
        SignalingMessage::RestartIce => 0,
    };
    i64::try_from(text + 128).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(bytes: usize) -> SignalingMessage {
        SignalingMessage::Offer {
            sdp: "v".repeat(bytes),
        }
    }

    #[test]
    fn a_normal_call_fits_the_budget_and_a_flood_does_not() {
        let mut budget = SignalBudget::new(0);
        let passed = (0..1_000)
            .filter(|_| budget.take(&offer(10_000), 0).is_ok())
            .count();
        assert_eq!(passed, 12);
        let wait = budget.take(&offer(10_000), 50).unwrap_err();
        assert_eq!(
            wait,
            Duration::from_millis(23),
            "what is left is too little"
        );
        assert_eq!(budget.take(&offer(10_000), 73), Ok(()), "after that time");
        assert!(budget.take(&offer(10_000), 73).is_err());
    }

    #[test]
    fn of_early_signals_the_last_offer_and_its_candidates_are_kept() {
        let mut early = EarlySignals::default();
        let candidate = |n: usize| SignalingMessage::Candidate {
            candidate: n.to_string(),
            sdp_mid: None,
            sdp_m_line_index: None,
        };
        for signal in [offer(1), candidate(1), offer(2), candidate(2), candidate(3)] {
            assert!(EarlySignals::accepts(&signal));
            early.push(&signal);
        }
        assert_eq!(early.signals(), [offer(2), candidate(2), candidate(3)]);
        (0..1_000).for_each(|n| early.push(&candidate(n)));
        assert_eq!(early.signals().len(), MAX_EARLY_SIGNALS);
        assert!(!EarlySignals::accepts(&SignalingMessage::RestartIce));
    }

    #[test]
    fn an_idle_budget_refills_no_further_than_the_burst() {
        let mut budget = SignalBudget::new(0);
        assert!(budget.take(&offer(200_000), 1_000_000).is_err());
    }
}
