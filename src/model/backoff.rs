//! Delay of a retry: exponential backoff with full jitter, which spreads the clients of a restarted server.

/// Upper bound of the first delay, in milliseconds.
pub const INITIAL_DELAY_MS: u32 = 500;
/// Upper bound of every delay, in milliseconds.
pub const MAX_DELAY_MS: u32 = 30_000;

/// Milliseconds before the next attempt, below a bound that doubles with each of `failures`. `random` is in
/// `0.0..1.0`.
#[must_use]
pub fn retry_delay(failures: u32, random: f64) -> u32 {
    let bound = INITIAL_DELAY_MS
        .saturating_mul(1 << failures.min(16))
        .min(MAX_DELAY_MS);
    jitter(bound, random)
}

/// Milliseconds below a bound, or 0. `random` is in `0.0..1.0`.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the product is between 0 and the bound"
)]
pub fn jitter(bound_ms: u32, random: f64) -> u32 {
    (f64::from(bound_ms) * random.clamp(0.0, 1.0)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_and_stops_growing() {
        let bounds: Vec<u32> = (0..9).map(|failures| retry_delay(failures, 1.0)).collect();
        assert_eq!(
            bounds,
            [
                500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000
            ]
        );
        assert_eq!(retry_delay(u32::MAX, 1.0), MAX_DELAY_MS);
    }

    #[test]
    fn the_wait_is_spread_over_the_whole_interval() {
        assert_eq!((retry_delay(3, 0.0), retry_delay(3, 0.5)), (0, 2_000));
    }
}
