//! Time for deadlines, independent of clock adjustments.

use crate::{model::Millis, server::clock};
use std::time::Duration;
use tokio::time::Instant;

/// Wall-clock time at the start, advanced by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct MonotonicClock {
    wall_start: Millis,
    monotonic_start: Instant,
}

impl MonotonicClock {
    pub(super) fn starting_at(at: Millis) -> Self {
        Self {
            wall_start: at,
            monotonic_start: Instant::now(),
        }
    }

    pub(super) fn now(self) -> Millis {
        self.wall_start
            + Millis::try_from(self.monotonic_start.elapsed().as_millis())
                .unwrap_or(Millis::MAX / 2)
    }

    /// Never returns without a deadline.
    pub(super) async fn sleep_until(self, deadline: Option<Millis>) {
        match deadline {
            Some(moment) => {
                tokio::time::sleep(Duration::from_millis(
                    moment.abs_diff(self.now().min(moment)),
                ))
                .await;
            }
            None => std::future::pending().await,
        }
    }
}

pub(super) fn start_clock() -> MonotonicClock {
    MonotonicClock::starting_at(clock::now())
}
