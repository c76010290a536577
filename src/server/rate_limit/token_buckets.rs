//! Token buckets, on the monotonic clock.

use std::{collections::HashMap, hash::Hash, time::Duration};
use tokio::time::Instant;

/// Fewer keys are not worth a sweep.
const MIN_SWEEP_KEYS: usize = 1_000;

/// What a full bucket holds, and how fast an empty one fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: u32,
    /// Time for one more token.
    pub refill: Duration,
}

impl Rate {
    /// `factor` times as much, of both.
    #[must_use]
    pub(super) fn scaled(self, factor: u32) -> Self {
        Self {
            burst: self.burst.saturating_mul(factor),
            refill: self.refill / factor,
        }
    }
}

/// Buckets by key; full ones are dropped.
#[derive(Debug)]
pub(super) struct TokenBuckets<K> {
    /// When the bucket is full again: its entire state.
    full_at: HashMap<K, Instant>,
    /// Number of keys that starts a sweep: twice what the last one left, so that sweeps cost each key a constant.
    sweep_keys: usize,
}

impl<K> Default for TokenBuckets<K> {
    fn default() -> Self {
        Self {
            full_at: HashMap::new(),
            sweep_keys: MIN_SWEEP_KEYS,
        }
    }
}

impl<K: Eq + Hash> TokenBuckets<K> {
    /// How long until `cost` tokens can be taken; zero for now. More than a burst is taken from a full bucket.
    pub(super) fn wait(&self, key: &K, now: Instant, cost: u32, rate: Rate) -> Duration {
        let missing = self.missing(key, now);
        let cost = cost.min(rate.burst);
        (missing + rate.refill * cost).saturating_sub(rate.refill * rate.burst)
    }

    /// Takes `cost` tokens, however many there are.
    pub(super) fn take(&mut self, key: K, now: Instant, cost: u32, rate: Rate) {
        if self.full_at.len() >= self.sweep_keys {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_keys = MIN_SWEEP_KEYS.max(2 * self.full_at.len());
        }
        let full_at = now + self.missing(&key, now) + rate.refill * cost;
        self.full_at.insert(key, full_at);
    }

    /// Undoes a [`Self::take`].
    pub(super) fn give_back(&mut self, key: &K, cost: u32, rate: Rate) {
        if let Some(full_at) = self.full_at.get_mut(key) {
            *full_at -= rate.refill * cost;
        }
    }

    /// Time until the bucket is full.
    fn missing(&self, key: &K, now: Instant) -> Duration {
        let full_at = self.full_at.get(key);
        full_at.map_or(Duration::ZERO, |full_at| {
            full_at.saturating_duration_since(now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        refill: Duration::from_millis(100),
    };

    /// Takes a token if there is one. Returns the wait otherwise.
    fn try_take(
        buckets: &mut TokenBuckets<&'static str>,
        key: &'static str,
        now: Instant,
        cost: u32,
    ) -> Duration {
        let wait = buckets.wait(&key, now, cost, RATE);
        if wait.is_zero() {
            buckets.take(key, now, cost, RATE);
        }
        wait
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_every_refill() {
        let start = Instant::now();
        let mut buckets = TokenBuckets::default();
        let waits = [0, 0, 0, 0, 50, 100, 100].map(|millis| {
            let now = start + Duration::from_millis(millis);
            try_take(&mut buckets, "a", now, 1).as_millis()
        });
        assert_eq!(waits, [0, 0, 0, 100, 50, 0, 100]);
        assert_eq!(
            try_take(&mut buckets, "b", start, 1),
            Duration::ZERO,
            "keys do not share"
        );
    }

    #[test]
    fn a_long_rest_does_not_save_up_more_than_a_burst() {
        let start = Instant::now();
        let mut buckets = TokenBuckets::default();
        try_take(&mut buckets, "a", start, 3);
        let later = start + Duration::from_secs(1_000);
        let allowed = (0..5).filter(|_| try_take(&mut buckets, "a", later, 1).is_zero());
        assert_eq!(allowed.count(), 3);
    }

    #[test]
    fn what_costs_more_than_a_burst_is_allowed_once_the_bucket_is_full() {
        let start = Instant::now();
        let mut buckets = TokenBuckets::default();
        assert_eq!(try_take(&mut buckets, "a", start, 10), Duration::ZERO);
        let wait = try_take(&mut buckets, "a", start, 1);
        assert_eq!(wait, Duration::from_millis(800), "the debt is repaid");
        assert_eq!(try_take(&mut buckets, "a", start + wait, 1), Duration::ZERO);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let start = Instant::now();
        let mut buckets = TokenBuckets::default();
        try_take(&mut buckets, "a", start, 3);
        buckets.give_back(&"a", 2, RATE);
        assert_eq!(try_take(&mut buckets, "a", start, 2), Duration::ZERO);
        assert_ne!(try_take(&mut buckets, "a", start, 1), Duration::ZERO);
    }

    #[test]
    fn full_buckets_are_dropped_whenever_the_keys_have_doubled() {
        let start = Instant::now();
        let full = start + RATE.refill;
        let mut buckets = TokenBuckets::default();
        let mut use_keys = |keys: std::ops::Range<usize>, now| {
            for key in keys {
                buckets.take(key, now, 1, RATE);
            }
            buckets.full_at.len()
        };
        assert_eq!(use_keys(0..1_500, start), 1_500, "none is full");
        assert_eq!(use_keys(0..1, full), 1_500, "no sweep is due");
        assert_eq!(use_keys(1_500..2_000, full), 2_000);
        assert_eq!(
            use_keys(2_000..2_001, full + RATE.refill),
            1,
            "all were full"
        );
    }
}
