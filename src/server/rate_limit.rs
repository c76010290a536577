//! Rate limits: one token bucket for each key.

use super::clock;
use crate::model::Millis;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

#[derive(Debug, Clone, Copy)]
struct TokenBucket {
    /// When the bucket is full again: its entire state.
    full_at: Millis,
}

impl TokenBucket {
    fn take(&mut self, now: Millis, burst: Millis, refill: Millis) -> bool {
        let full_at = self.full_at.max(now) + refill;
        let allowed = full_at - now <= burst * refill;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

/// Token buckets by key; full ones are dropped.
#[derive(Debug)]
pub struct RateLimiter<K> {
    buckets: Mutex<HashMap<K, TokenBucket>>,
    burst: Millis,
    refill_interval: Millis,
}

const SWEEP_THRESHOLD_KEYS: usize = 1_000;

impl<K: Eq + Hash> RateLimiter<K> {
    /// Allows `burst` attempts at once, and one more every `refill` milliseconds.
    #[must_use]
    pub fn new(burst: u32, refill: Millis) -> Self {
        Self {
            buckets: Mutex::default(),
            burst: burst.into(),
            refill_interval: refill,
        }
    }

    /// Whether a key may try now. Counts an allowed attempt.
    pub fn allow(&self, key: K) -> bool {
        let now = clock::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > SWEEP_THRESHOLD_KEYS {
            buckets.retain(|_, bucket| bucket.full_at > now);
        }
        buckets
            .entry(key)
            .or_insert(TokenBucket { full_at: now })
            .take(now, self.burst, self.refill_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_every_refill() {
        let mut bucket = TokenBucket { full_at: 0 };
        let tries: Vec<bool> = [0, 0, 0, 0, 50, 100, 100]
            .into_iter()
            .map(|now| bucket.take(now, 3, 100))
            .collect();
        assert_eq!(tries, [true, true, true, false, false, true, false]);
    }

    #[test]
    fn a_long_rest_does_not_save_up_more_than_a_burst() {
        let mut bucket = TokenBucket { full_at: 0 };
        let tries = (0..5).filter(|_| bucket.take(1_000_000, 3, 100)).count();
        assert_eq!(tries, 3);
    }

    #[test]
    fn keys_do_not_share() {
        let rate = RateLimiter::new(1, 60_000);
        assert!(rate.allow("a") && rate.allow("b") && !rate.allow("a"));
    }
}
