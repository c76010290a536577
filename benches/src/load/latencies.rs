//! A histogram of latencies, with three significant digits.

use histogram::Histogram;

/// A relative error of at most a thousandth.
const GROUPING_POWER: u8 = 10;
/// Below 2^37 nanoseconds, 137 s.
const MAX_VALUE_POWER: u8 = 37;

/// A histogram of latencies.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(GROUPING_POWER, MAX_VALUE_POWER).expect("the bounds are constant"))
    }
}

impl Latencies {
    /// In nanoseconds; beyond the range counts as the maximum.
    pub fn record(&mut self, nanoseconds: u64) {
        let max = (1 << MAX_VALUE_POWER) - 1;
        // Fails only beyond the range.
        let _ = self.0.increment(nanoseconds.min(max));
    }

    /// For a share from 0 to 1, in milliseconds; `None` without latencies.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let bucket = self.0.quantile_bucket(share).ok()??;
        Some(bucket.end() as f64 / 1e6)
    }

    /// Adds another histogram.
    pub fn add(&mut self, other: &Self) {
        let _ = self.0.checked_add_assign(&other.0);
    }

    /// Number of latencies.
    pub fn count(&self) -> u64 {
        self.0.as_slice().iter().sum()
    }
}
