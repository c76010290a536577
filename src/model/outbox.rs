//! Messages that the browser sent and the server has not acknowledged.
//!
//! Every connection repeats all entries but failed ones, in order and under the same ids, so none is duplicated.

use super::{MessageId, Millis, RoomId, message::MessageText};
use serde::{Deserialize, Serialize};

/// Delivery state of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Delivery {
    Pending,
    /// The server takes no messages now; sent again after a backoff.
    Delayed,
    /// Stays until the user retries or discards it.
    Failed {
        reason: String,
    },
}

/// An unacknowledged message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    pub id: MessageId,
    pub room: RoomId,
    pub text: MessageText,
    /// By the browser's clock.
    pub at: Millis,
    pub delivery: Delivery,
}

/// Unacknowledged messages, oldest first. Changing an unknown entry returns false.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outbox {
    entries: Vec<OutboxEntry>,
}

impl Outbox {
    /// Adds a pending message unless its id is present.
    pub fn push(&mut self, id: MessageId, room: RoomId, text: MessageText, at: Millis) {
        if self.find(id).is_none() {
            self.entries.push(OutboxEntry {
                id,
                room,
                text,
                at,
                delivery: Delivery::Pending,
            });
        }
    }

    /// Removes a committed message.
    pub fn acknowledge(&mut self, id: MessageId) -> bool {
        self.remove(id)
    }

    /// Marks a message as delayed.
    pub fn mark_delayed(&mut self, id: MessageId) -> bool {
        self.set(id, Delivery::Delayed)
    }

    /// Marks a message as refused.
    pub fn mark_failed(&mut self, id: MessageId, reason: &str) -> bool {
        self.set(
            id,
            Delivery::Failed {
                reason: reason.to_owned(),
            },
        )
    }

    /// Marks a message as pending.
    pub fn retry(&mut self, id: MessageId) -> bool {
        self.set(id, Delivery::Pending)
    }

    /// Removes a refused message.
    pub fn discard(&mut self, id: MessageId) -> bool {
        self.remove(id)
    }

    /// The entry with this id.
    #[must_use]
    pub fn find(&self, id: MessageId) -> Option<&OutboxEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// Entries that a new connection sends.
    pub fn to_send(&self) -> impl Iterator<Item = &OutboxEntry> {
        self.entries.iter().filter(|entry| match entry.delivery {
            Delivery::Pending | Delivery::Delayed => true,
            Delivery::Failed { .. } => false,
        })
    }

    /// Entries of a room.
    pub fn in_room(&self, room: RoomId) -> impl Iterator<Item = &OutboxEntry> {
        self.entries.iter().filter(move |entry| entry.room == room)
    }

    /// Leaving the page then loses nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn set(&mut self, id: MessageId, delivery: Delivery) -> bool {
        let found = self.entries.iter_mut().find(|entry| entry.id == id);
        found.map(|entry| entry.delivery = delivery).is_some()
    }

    fn remove(&mut self, id: MessageId) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.id != id);
        self.entries.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> MessageId {
        MessageId(Uuid::from_u128(n))
    }

    fn outbox() -> Outbox {
        let mut outbox = Outbox::default();
        for n in 1..=3 {
            let room = RoomId(Uuid::from_u128(n % 2));
            outbox.push(
                id(n),
                room,
                MessageText::new(&format!("message {n}")).unwrap(),
                0,
            );
        }
        outbox
    }

    fn sending(outbox: &Outbox) -> Vec<MessageId> {
        outbox.to_send().map(|entry| entry.id).collect()
    }

    #[test]
    fn a_new_connection_sends_everything_unacknowledged_again_in_order() {
        let mut outbox = outbox();
        assert!(outbox.acknowledge(id(2)));
        assert_eq!(sending(&outbox), [id(1), id(3)]);
        assert_eq!(
            sending(&outbox),
            [id(1), id(3)],
            "and again on the next connection"
        );
    }

    #[test]
    fn what_was_refused_waits_for_the_user() {
        let mut outbox = outbox();
        assert!(outbox.mark_failed(id(1), "too long"));
        assert_eq!(sending(&outbox), [id(2), id(3)]);
        assert!(outbox.retry(id(1)));
        assert_eq!(sending(&outbox), [id(1), id(2), id(3)]);
        assert!(outbox.discard(id(1)) && !outbox.discard(id(1)));
    }

    #[test]
    fn what_was_refused_for_now_is_sent_again_unless_discarded() {
        let mut outbox = outbox();
        assert!(outbox.mark_delayed(id(1)) && outbox.mark_delayed(id(2)));
        assert!(outbox.discard(id(2)));
        assert!(!outbox.mark_delayed(id(2)));
        assert_eq!(sending(&outbox), [id(1), id(3)]);
    }

    #[test]
    fn a_late_acknowledgement_settles_a_failure_too() {
        let mut outbox = outbox();
        outbox.mark_failed(id(1), "no answer");
        assert!(outbox.acknowledge(id(1)));
        assert!(outbox.find(id(1)).is_none());
    }

    #[test]
    fn rooms_do_not_mix_and_a_reload_loses_nothing() {
        let outbox = outbox();
        let kept: Outbox = serde_json::from_str(&serde_json::to_string(&outbox).unwrap()).unwrap();
        assert_eq!(kept, outbox);
        let room = RoomId(Uuid::from_u128(1));
        assert_eq!(
            kept.in_room(room).map(|entry| entry.id).collect::<Vec<_>>(),
            [id(1), id(3)]
        );
    }
}
