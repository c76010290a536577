//! The scheduled and postponed retransmissions.

/// Milliseconds.
pub(crate) const RETRANSMIT_INTERVAL: i32 = 5_000;
/// Milliseconds.
pub(crate) const EARLY_RETRANSMIT_DELAY: i32 = 1_500;

/// At most one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RetransmitTimers {
    pub(crate) regular: TimerState,
    /// After the server was unavailable.
    pub(crate) early: TimerState,
    /// Until a reply arrives.
    is_postponed: bool,
}

impl RetransmitTimers {
    /// Whether to retransmit now. While a reply is outstanding, the retransmission is postponed.
    pub(crate) fn start(&mut self, is_awaiting_reply: bool) -> bool {
        self.is_postponed = is_awaiting_reply;
        !is_awaiting_reply
    }

    /// Whether a retransmission was postponed until this reply.
    pub(crate) fn on_reply(&mut self) -> bool {
        std::mem::take(&mut self.is_postponed)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TimerState {
    #[default]
    Idle,
    Scheduled,
}

impl TimerState {
    /// True if newly scheduled.
    pub(crate) fn schedule(&mut self) -> bool {
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
