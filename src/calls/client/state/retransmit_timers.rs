//! The scheduled and postponed retransmissions, without browser access.

/// At most one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::calls::client) struct RetransmitTimers {
    /// Repeats unconfirmed actions every few seconds.
    pub(in crate::calls::client) regular: TimerState,
    /// Repeats them soon after the server was unavailable.
    pub(in crate::calls::client) early: TimerState,
    /// Until a reply arrives.
    is_postponed: bool,
}

impl RetransmitTimers {
    /// Whether to retransmit now. While a reply is outstanding, the retransmission is postponed.
    pub(in crate::calls::client) fn start(&mut self, is_awaiting_reply: bool) -> bool {
        self.is_postponed = is_awaiting_reply;
        !is_awaiting_reply
    }

    /// Whether a retransmission was postponed until this reply.
    pub(in crate::calls::client) fn on_reply(&mut self) -> bool {
        std::mem::take(&mut self.is_postponed)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retransmission_that_is_due_before_a_reply_follows_it() {
        let mut timers = RetransmitTimers::default();
        assert!(!timers.on_reply());
        assert!(!timers.start(true));
        assert!(timers.on_reply());
        assert!(!timers.on_reply(), "once");
        assert!(!timers.start(true));
        assert!(timers.start(false));
        assert!(!timers.on_reply(), "it has taken place");
    }
}
