//! Sending again what the server refused because it was unavailable, after a backoff.

use crate::model::{MessageId, backoff};
use std::collections::HashSet;

/// The refused messages that wait for the end of the backoff.
#[derive(Debug, Default)]
pub(super) struct ResendState {
    waiting: HashSet<MessageId>,
    /// Since the server last took a message.
    failures: u32,
    /// Changes whenever the current backoff is over; the timer of an earlier one does nothing.
    backoff: u32,
}

/// A backoff that starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    /// To end it with.
    pub(super) number: u32,
    pub(super) delay_ms: u32,
}

impl ResendState {
    /// Returns the backoff that the first refusal starts; further ones wait for its end. `random` is in
    /// `0.0..1.0`.
    pub(super) fn on_refused(&mut self, id: MessageId, random: f64) -> Option<Backoff> {
        let is_first = self.waiting.is_empty();
        self.waiting.insert(id);
        is_first.then(|| Backoff {
            number: self.backoff,
            delay_ms: backoff::retry_delay(self.failures, random),
        })
    }

    /// Returns the messages to send; none if the backoff is over already.
    pub(super) fn end_backoff(&mut self, number: u32) -> HashSet<MessageId> {
        if number != self.backoff {
            return HashSet::new();
        }
        self.failures = self.failures.saturating_add(1);
        self.take_waiting()
    }

    /// The server takes messages again: returns those to send at once.
    pub(super) fn on_accepted(&mut self) -> HashSet<MessageId> {
        self.failures = 0;
        self.take_waiting()
    }

    /// A new connection sends everything.
    pub(super) fn on_welcome(&mut self) {
        self.take_waiting();
    }

    fn take_waiting(&mut self) -> HashSet<MessageId> {
        self.backoff = self.backoff.wrapping_add(1);
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> MessageId {
        MessageId(Uuid::from_u128(n))
    }

    fn ids<const N: usize>(numbers: [u128; N]) -> HashSet<MessageId> {
        numbers.map(id).into()
    }

    #[test]
    fn one_backoff_serves_all_refused_messages_and_grows_up_to_its_bound() {
        let mut resend = ResendState::default();
        let mut delays = Vec::new();
        for _ in 0..8 {
            let backoff = resend.on_refused(id(1), 1.0).unwrap();
            assert_eq!(resend.on_refused(id(2), 1.0), None);
            delays.push(backoff.delay_ms);
            assert_eq!(resend.end_backoff(backoff.number), ids([1, 2]));
        }
        assert_eq!(delays[..3], [500, 1_000, 2_000]);
        assert_eq!(delays.last(), Some(&backoff::MAX_DELAY_MS));
    }

    #[test]
    fn an_accepted_message_or_a_new_connection_ends_the_backoff() {
        let mut resend = ResendState::default();
        let first = resend.on_refused(id(1), 1.0).unwrap();
        resend.end_backoff(first.number);
        let second = resend.on_refused(id(1), 1.0).unwrap();
        assert_eq!(resend.on_accepted(), ids([1]));
        assert_eq!(resend.end_backoff(second.number), ids([]), "it is over");
        let third = resend.on_refused(id(1), 1.0).unwrap();
        assert_eq!(third.delay_ms, first.delay_ms);
        resend.on_welcome();
        assert_eq!(resend.end_backoff(third.number), ids([]), "sent meanwhile");
    }
}
