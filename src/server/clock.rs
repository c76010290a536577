//! The only place that reads the system clock.

use crate::model::Millis;
use std::time::{SystemTime, UNIX_EPOCH};

/// System time in milliseconds since 1970-01-01T00:00:00Z.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Millis {
    #[cfg(test)]
    if let Some(now) = super::simulation::node::wall_clock() {
        return now;
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
