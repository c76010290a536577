//! Latencies, in nanoseconds, to three significant digits.

use histogram::Histogram;

/// 2^10 steps between two powers of two: an error of a thousandth at the most.
const GROUPING_POWER: u8 = 10;
/// Up to 2^37 nanoseconds, 137 s.
const MAX_VALUE_POWER: u8 = 37;

/// Collects latencies.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(GROUPING_POWER, MAX_VALUE_POWER).expect("the bounds are constant"))
    }
}

impl Latencies {
    /// Takes note of one, in nanoseconds.
    pub fn record(&mut self, nanoseconds: u64) {
        let max = (1 << MAX_VALUE_POWER) - 1;
        // Only what is past the last step is refused.
        let _ = self.0.increment(nanoseconds.min(max));
    }

    /// The latency that this share of all (0 to 1) does not exceed, in milliseconds. `None` when there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let bucket = self.0.quantile_bucket(share).ok()??;
        Some(bucket.end() as f64 / 1e6)
    }

    /// Adds those that were collected elsewhere.
    pub fn add(&mut self, other: &Self) {
        // All have the same bounds, and 2^64 latencies take longer than anybody waits.
        let _ = self.0.checked_add_assign(&other.0);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.as_slice().iter().sum()
    }
}
