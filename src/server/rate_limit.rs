//! Rate limits: one token bucket for each key, on the monotonic clock.

use crate::model::Millis;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Fewer keys are not worth a sweep.
const MIN_SWEEP_KEYS: usize = 1_000;

#[derive(Debug, Clone, Copy)]
struct TokenBucket {
    /// When the bucket is full again: its entire state.
    full_at: Instant,
}

impl TokenBucket {
    /// The error says how long the bucket stays empty.
    fn take(&mut self, now: Instant, burst: u32, refill: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + refill;
        let excess = (full_at - now).saturating_sub(refill * burst);
        if excess.is_zero() {
            self.full_at = full_at;
            Ok(())
        } else {
            Err(excess)
        }
    }
}

#[derive(Debug)]
struct Buckets<K> {
    by_key: HashMap<K, TokenBucket>,
    /// Number of keys that starts a sweep: twice what the last one left, so that sweeps cost each key a constant.
    sweep_keys: usize,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            sweep_keys: MIN_SWEEP_KEYS,
        }
    }
}

impl<K: Eq + Hash> Buckets<K> {
    fn get_or_create(&mut self, key: K, now: Instant) -> &mut TokenBucket {
        if self.by_key.len() >= self.sweep_keys {
            self.by_key.retain(|_, bucket| bucket.full_at > now);
            self.sweep_keys = MIN_SWEEP_KEYS.max(2 * self.by_key.len());
        }
        let full = TokenBucket { full_at: now };
        self.by_key.entry(key).or_insert(full)
    }
}

/// Token buckets by key; full ones are dropped.
#[derive(Debug)]
pub struct RateLimiter<K> {
    buckets: Mutex<Buckets<K>>,
    burst: u32,
    refill_interval: Duration,
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// Allows `burst` attempts at once, and one more every `refill` milliseconds.
    #[must_use]
    pub fn new(burst: u32, refill: Millis) -> Self {
        Self {
            buckets: Mutex::default(),
            burst,
            refill_interval: Duration::from_millis(refill.unsigned_abs()),
        }
    }

    /// Whether a key may try now. Counts an allowed attempt.
    pub fn allow(&self, key: K) -> bool {
        self.check(key).is_ok()
    }

    /// As [`Self::allow`].
    ///
    /// # Errors
    ///
    /// How long until the key may try again, unless it is used meanwhile.
    pub fn check(&self, key: K) -> Result<(), Duration> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets
            .get_or_create(key, now)
            .take(now, self.burst, self.refill_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFILL: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_is_allowed_and_then_one_every_refill() {
        let start = Instant::now();
        let mut bucket = TokenBucket { full_at: start };
        let tries: Vec<bool> = [0, 0, 0, 0, 50, 100, 100]
            .into_iter()
            .map(|millis| {
                let now = start + Duration::from_millis(millis);
                bucket.take(now, 3, REFILL).is_ok()
            })
            .collect();
        assert_eq!(tries, [true, true, true, false, false, true, false]);
    }

    #[test]
    fn a_long_rest_does_not_save_up_more_than_a_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket { full_at: start };
        let later = start + Duration::from_secs(1_000);
        let tries = (0..5)
            .filter(|_| bucket.take(later, 3, REFILL).is_ok())
            .count();
        assert_eq!(tries, 3);
    }

    #[test]
    fn a_refused_attempt_is_told_when_the_next_one_is_allowed() {
        let start = Instant::now();
        let mut bucket = TokenBucket { full_at: start };
        let mut take = |millis| bucket.take(start + Duration::from_millis(millis), 2, REFILL);
        assert_eq!([take(0), take(0)], [Ok(()), Ok(())]);
        assert_eq!(take(30), Err(Duration::from_millis(70)));
        assert_eq!(take(100), Ok(()), "after that time");
    }

    #[test]
    fn keys_do_not_share() {
        let rate = RateLimiter::new(1, 60_000);
        assert!(rate.allow("a") && rate.allow("b") && !rate.allow("a"));
    }

    #[test]
    fn full_buckets_are_dropped_whenever_the_keys_have_doubled() {
        let start = Instant::now();
        let full = start + REFILL;
        let mut buckets = Buckets::default();
        let mut use_keys = |keys: std::ops::Range<usize>, now| {
            for key in keys {
                let _ = buckets.get_or_create(key, now).take(now, 1, REFILL);
            }
            buckets.by_key.len()
        };
        assert_eq!(use_keys(0..1_500, start), 1_500, "none is full");
        assert_eq!(use_keys(0..1, full), 1_500, "no sweep is due");
        assert_eq!(use_keys(1_500..2_000, full), 2_000);
        assert_eq!(use_keys(2_000..2_001, full + REFILL), 1, "all were full");
    }
}
