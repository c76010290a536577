//! A histogram of latencies, with three significant digits.

use histogram::Histogram;

/// 2^10 buckets per power of two: a relative error of at most a thousandth.
const GROUPING_POWER: u8 = 10;
/// Values below 2^37 nanoseconds, 137 s.
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
    /// Records a latency in nanoseconds; one beyond the range counts as the maximum.
    pub fn record(&mut self, nanoseconds: u64) {
        let max = (1 << MAX_VALUE_POWER) - 1;
        // Only a value beyond the range is an error.
        let _ = self.0.increment(nanoseconds.min(max));
    }

    /// The quantile for a share from 0 to 1, in milliseconds; `None` without latencies.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let bucket = self.0.quantile_bucket(share).ok()??;
        Some(bucket.end() as f64 / 1e6)
    }

    /// Adds the latencies of another histogram.
    pub fn add(&mut self, other: &Self) {
        // All histograms have the same bounds, and the counts do not overflow.
        let _ = self.0.checked_add_assign(&other.0);
    }

    /// The number of latencies.
    pub fn count(&self) -> u64 {
        self.0.as_slice().iter().sum()
    }
}
