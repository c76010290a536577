//! Whether anything arrives from the peer: heartbeats, confirmed by the browser's packet statistics.

use crate::model::Millis;

/// Interval of heartbeats, in milliseconds.
const HEARTBEAT_INTERVAL: i32 = 1_000;
/// Interval while the peer is unresponsive, in milliseconds: the first heartbeat to get through shows that the path
/// recovered.
const UNRESPONSIVE_HEARTBEAT_INTERVAL: i32 = 250;
/// The path counts as lost this long after the last heartbeat, in milliseconds.
const HEARTBEAT_TIMEOUT: Millis = 3_000;
/// Maximum age of the last packet on a working path, in milliseconds. Heartbeats are also late if a page is busy, but
/// the browser still receives packets.
const PACKET_TIMEOUT: f64 = 1_500.0;

/// Whether the peer responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Liveness {
    /// Heartbeats or packets arrive, as far as is known.
    #[default]
    Responsive,
    /// Nothing has arrived for too long.
    Unresponsive,
}

/// Whether the packet statistics are being read because a heartbeat is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum StatsCheck {
    #[default]
    Idle,
    Running,
}

/// The result of a check of an overdue path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckResult {
    /// A heartbeat arrived during the check.
    NotOverdue,
    /// The browser receives packets: a page is busy.
    Busy,
    /// Nothing arrives.
    Silent,
}

/// Watches the heartbeats of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PathMonitor {
    liveness: Liveness,
    /// When the last heartbeat arrived on this path; `None` before the first, when none can be overdue.
    last_heartbeat_at: Option<Millis>,
    stats_check: StatsCheck,
}

impl PathMonitor {
    /// Starts over on a new path: no heartbeat is overdue before the first one arrived.
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

    /// Starts a check if a heartbeat is overdue and none runs. True if the packet statistics have to be read.
    pub(super) fn start_check(&mut self, now: Millis) -> bool {
        self.is_overdue(now)
            && std::mem::replace(&mut self.stats_check, StatsCheck::Running) == StatsCheck::Idle
    }

    /// Whether an overdue heartbeat means a lost path or a busy page, which an ICE restart would load even more.
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

    /// Delay until the next heartbeat, in milliseconds.
    pub(super) fn heartbeat_interval(&self) -> i32 {
        match self.liveness {
            Liveness::Responsive => HEARTBEAT_INTERVAL,
            Liveness::Unresponsive => UNRESPONSIVE_HEARTBEAT_INTERVAL,
        }
    }
}
