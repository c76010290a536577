//! The scheduled retransmissions of a client: plain data without browser access.

/// The scheduled retransmissions, at most one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::calls::client) struct RetransmitTimers {
    /// Repeats unconfirmed actions every few seconds.
    pub(in crate::calls::client) regular: TimerState,
    /// Repeats them once, soon after the server was unavailable.
    pub(in crate::calls::client) early: TimerState,
}

/// The state of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::calls::client) enum TimerState {
    #[default]
    Idle,
    Scheduled,
}

impl TimerState {
    /// Schedules the timer. True if it was not scheduled already.
    pub(in crate::calls::client) fn schedule(&mut self) -> bool {
        std::mem::replace(self, Self::Scheduled) == Self::Idle
    }
}
