//! When a room's unanswered messages are sent again.
//!
//! After a refusal for now the room is held: nothing is sent there. When the hold ends, all its messages are sent, so that none overtakes
//! another.

use crate::model::{MessageId, RoomId, backoff};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default)]
pub(super) struct ResendState {
    holds: BTreeMap<RoomId, Hold>,
    /// Holds of a room since the server last took a message.
    failures: BTreeMap<RoomId, u32>,
    /// Unanswered sends on this connection; the server answers in order.
    unanswered: HashMap<MessageId, u32>,
    last_number: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    /// The timer of an earlier hold does nothing.
    number: u32,
    reason: HoldReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldReason {
    RateLimited,
    /// The server could not commit.
    Unavailable,
}

/// The server's request to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) reason: HoldReason,
    pub(super) retry_after_ms: Option<u32>,
    /// Until the rate limit allows the messages behind the first.
    pub(super) batch_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    /// To end the hold with.
    pub(super) number: u32,
    pub(super) delay_ms: u32,
}

impl Wait {
    /// `random` is in `0.0..1.0`.
    fn delay_ms(self, failures: u32, random: f64) -> u32 {
        let backoff = backoff::retry_delay(failures, random);
        match (self.reason, self.retry_after_ms) {
            (HoldReason::RateLimited, Some(retry_after)) => {
                let least_ms = retry_after.saturating_add(self.batch_ms);
                least_ms.saturating_add(backoff::jitter(least_ms / 4, random))
            }
            (HoldReason::Unavailable, Some(retry_after)) => retry_after.max(backoff),
            (HoldReason::RateLimited | HoldReason::Unavailable, None) => backoff,
        }
    }
}

impl ResendState {
    /// Why nothing may be sent in a room.
    pub(super) fn hold_reason(&self, room: RoomId) -> Option<HoldReason> {
        self.holds.get(&room).map(|hold| hold.reason)
    }

    pub(super) fn record_send(&mut self, id: MessageId) {
        *self.unanswered.entry(id).or_default() += 1;
    }

    /// Returns false if the message was sent again: the later answer decides.
    pub(super) fn record_refusal(&mut self, id: MessageId) -> bool {
        if let Some(count) = self.unanswered.get_mut(&id)
            && *count > 1
        {
            *count -= 1;
            return false;
        }
        self.unanswered.remove(&id);
        true
    }

    /// Holds a room, unless it is held already.
    pub(super) fn hold(&mut self, room: RoomId, wait: Wait, random: f64) -> Option<Backoff> {
        if self.holds.contains_key(&room) {
            return None;
        }
        self.last_number = self.last_number.wrapping_add(1);
        let number = self.last_number;
        let reason = wait.reason;
        self.holds.insert(room, Hold { number, reason });
        let failures = self.failures.entry(room).or_default();
        let delay_ms = wait.delay_ms(*failures, random);
        *failures = failures.saturating_add(1);
        Some(Backoff { number, delay_ms })
    }

    pub(super) fn end_hold(&mut self, room: RoomId, number: u32) -> bool {
        let is_current = self
            .holds
            .get(&room)
            .is_some_and(|hold| hold.number == number);
        if is_current {
            self.holds.remove(&room);
        }
        is_current
    }

    /// Returns the rooms that were held because the server took no message.
    pub(super) fn on_accepted(&mut self, id: MessageId) -> Vec<RoomId> {
        self.forget(id);
        self.failures.clear();
        let is_over = |hold: &Hold| hold.reason == HoldReason::Unavailable;
        let released = self.holds.iter().filter(|(_, hold)| is_over(hold));
        let released = released.map(|(room, _)| *room).collect();
        self.holds.retain(|_, hold| !is_over(hold));
        released
    }

    pub(super) fn forget(&mut self, id: MessageId) {
        self.unanswered.remove(&id);
    }

    /// A new connection sends everything.
    pub(super) fn on_welcome(&mut self) {
        self.holds.clear();
        self.unanswered.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const UNAVAILABLE: Wait = Wait {
        reason: HoldReason::Unavailable,
        retry_after_ms: None,
        batch_ms: 0,
    };

    fn id(n: u128) -> MessageId {
        MessageId(Uuid::from_u128(n))
    }

    fn room(n: u128) -> RoomId {
        RoomId(Uuid::from_u128(n))
    }

    #[test]
    fn one_backoff_serves_all_refused_messages_and_grows_up_to_its_bound() {
        let mut resend = ResendState::default();
        let mut delays = Vec::new();
        for _ in 0..8 {
            let backoff = resend.hold(room(1), UNAVAILABLE, 1.0).unwrap();
            assert_eq!(resend.hold(room(1), UNAVAILABLE, 1.0), None);
            delays.push(backoff.delay_ms);
            assert!(resend.end_hold(room(1), backoff.number));
        }
        assert_eq!(delays[..3], [500, 1_000, 2_000]);
        assert_eq!(delays.last(), Some(&backoff::MAX_DELAY_MS));
    }

    #[test]
    fn an_accepted_message_or_a_new_connection_ends_the_backoff() {
        let mut resend = ResendState::default();
        let first = resend.hold(room(1), UNAVAILABLE, 1.0).unwrap();
        resend.end_hold(room(1), first.number);
        let second = resend.hold(room(1), UNAVAILABLE, 1.0).unwrap();
        assert_eq!(resend.on_accepted(id(1)), [room(1)]);
        assert!(!resend.end_hold(room(1), second.number), "it is over");
        let third = resend.hold(room(1), UNAVAILABLE, 1.0).unwrap();
        assert_eq!(third.delay_ms, first.delay_ms);
        resend.on_welcome();
        assert!(!resend.end_hold(room(1), third.number), "sent meanwhile");
        assert_eq!(resend.hold_reason(room(1)), None);
    }

    #[test]
    fn an_accepted_message_does_not_end_a_rate_limit() {
        let mut resend = ResendState::default();
        let wait = Wait {
            reason: HoldReason::RateLimited,
            ..UNAVAILABLE
        };
        resend.hold(room(1), wait, 1.0);
        assert!(resend.on_accepted(id(1)).is_empty());
        assert_eq!(resend.hold_reason(room(1)), Some(HoldReason::RateLimited));
    }

    #[test]
    fn the_wait_that_the_server_asks_for_is_the_least() {
        let delay = |reason, retry_after_ms, random| {
            let wait = Wait {
                reason,
                retry_after_ms,
                batch_ms: 180,
            };
            wait.delay_ms(1, random)
        };
        let (limited, unavailable) = (HoldReason::RateLimited, HoldReason::Unavailable);
        assert_eq!(delay(limited, Some(20), 0.0), 200);
        assert_eq!(delay(limited, Some(20), 1.0), 250, "a little random");
        assert_eq!(delay(limited, None, 1.0), 1_000, "an older server");
        assert_eq!(delay(unavailable, Some(800), 0.1), 800);
        assert_eq!(delay(unavailable, Some(800), 1.0), 1_000);
    }

    #[test]
    fn only_the_answer_to_the_last_send_of_a_message_counts() {
        let mut resend = ResendState::default();
        resend.record_send(id(1));
        resend.record_send(id(1));
        assert!(!resend.record_refusal(id(1)));
        assert!(resend.record_refusal(id(1)));
        resend.record_send(id(1));
        resend.record_send(id(1));
        resend.on_welcome();
        resend.record_send(id(1));
        assert!(
            resend.record_refusal(id(1)),
            "earlier connections do not answer"
        );
    }
}
