//! Whether anything arrives from the peer: heartbeats, and the browser's packet statistics.

use crate::model::Millis;

/// Milliseconds.
const HEARTBEAT_INTERVAL: i32 = 1_000;
/// Milliseconds; the first heartbeat to get through shows a recovered path.
const UNRESPONSIVE_HEARTBEAT_INTERVAL: i32 = 250;
/// Without heartbeats for so long, a path counts as lost.
const HEARTBEAT_TIMEOUT: Millis = 3_000;
/// Milliseconds. Heartbeats are late if a page is busy, but the browser still receives packets.
const PACKET_TIMEOUT: f64 = 1_500.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Liveness {
    #[default]
    Responsive,
    Unresponsive,
}

/// Whether the packet statistics are being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum StatsCheck {
    #[default]
    Idle,
    Running,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckResult {
    NotOverdue,
    Busy,
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PathMonitor {
    liveness: Liveness,
    /// `None` before the first heartbeat on this path, when none can be overdue.
    last_heartbeat_at: Option<Millis>,
    stats_check: StatsCheck,
}

impl PathMonitor {
    pub(super) fn start_over(&mut self) {
        self.last_heartbeat_at = None;
    }

    pub(super) fn record_heartbeat(&mut self, now: Millis) {
        self.last_heartbeat_at = Some(now);
    }

    pub(super) fn has_heartbeat_since(&self, since: Millis) -> bool {
        self.last_heartbeat_at.is_some_and(|at| at >= since)
    }

    pub(super) fn liveness(&self) -> Liveness {
        self.liveness
    }

    pub(super) fn mark_responsive(&mut self) {
        self.liveness = Liveness::Responsive;
    }

    /// True if newly marked.
    pub(super) fn mark_unresponsive(&mut self) -> bool {
        std::mem::replace(&mut self.liveness, Liveness::Unresponsive) == Liveness::Responsive
    }

    fn is_overdue(&self, now: Millis) -> bool {
        self.last_heartbeat_at
            .is_some_and(|at| now - at > HEARTBEAT_TIMEOUT)
    }

    /// True if the packet statistics have to be read.
    pub(super) fn start_check(&mut self, now: Millis) -> bool {
        self.is_overdue(now)
            && std::mem::replace(&mut self.stats_check, StatsCheck::Running) == StatsCheck::Idle
    }

    /// An ICE restart would load a busy page even more.
    pub(super) fn finish_check(&mut self, packet_age: Option<f64>, now: Millis) -> CheckResult {
        self.stats_check = StatsCheck::Idle;
        if !self.is_overdue(now) {
            CheckResult::NotOverdue
        } else if packet_age.is_none_or(|age| age > PACKET_TIMEOUT) {
            CheckResult::Silent
        } else {
            CheckResult::Busy
        }
    }

    /// In milliseconds.
    pub(super) fn heartbeat_interval(&self) -> i32 {
        match self.liveness {
            Liveness::Responsive => HEARTBEAT_INTERVAL,
            Liveness::Unresponsive => UNRESPONSIVE_HEARTBEAT_INTERVAL,
        }
    }
}
