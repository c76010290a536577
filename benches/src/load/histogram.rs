//! Latencies, in nanoseconds, to three significant digits.

use hdrhistogram::Histogram;

/// The longest latency that is told from longer ones, in nanoseconds.
const LONGEST: u64 = 120_000_000_000;

/// Collects latencies.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // Three digits and bounds in ascending order are always accepted.
        Self(Histogram::new_with_bounds(100, LONGEST, 3).expect("the bounds are constant"))
    }
}

impl Latencies {
    /// Takes note of one, in nanoseconds.
    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    /// The latency that this share of all (0 to 1) does not exceed, in milliseconds. `None` when there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share) as f64 / 1e6)
    }

    /// Adds those that were collected elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}
