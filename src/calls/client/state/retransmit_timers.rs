//! The scheduled retransmissions, without browser access.

/// At most one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::calls::client) struct RetransmitTimers {
    /// Repeats unconfirmed actions every few seconds.
    pub(in crate::calls::client) regular: TimerState,
    /// Repeats them soon after the server was unavailable.
    pub(in crate::calls::client) early: TimerState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::calls::client) enum TimerState {
    #[default]
    Idle,
    Scheduled,
}

impl TimerState {
    /// True if newly scheduled.
    pub(in crate::calls::client) fn schedule(&mut self) -> bool {
        std::mem::replace(self, Self::Scheduled) == Self::Idle
    }
}
