//! The outbox of the page, in session storage to survive a reload.

use crate::{
    model::{
        MessageId, RoomId, UserId,
        outbox::{Outbox, OutboxEntry},
    },
    ui::browser,
};
use leptos::prelude::*;

#[derive(Debug, Clone, Copy)]
pub(super) struct SavedOutbox {
    outbox: RwSignal<Outbox>,
    /// `None` until the author is known.
    storage_key: StoredValue<Option<String>>,
}

impl SavedOutbox {
    pub(super) fn new() -> Self {
        Self {
            outbox: RwSignal::new(Outbox::default()),
            storage_key: StoredValue::new(None),
        }
    }

    /// Oldest first.
    pub(super) fn in_room(self, room: RoomId) -> Vec<OutboxEntry> {
        self.outbox
            .with(|outbox| outbox.in_room(room).cloned().collect())
    }

    pub(super) fn is_empty(self) -> bool {
        self.outbox.with(Outbox::is_empty)
    }

    pub(super) fn find_untracked(self, id: MessageId) -> Option<OutboxEntry> {
        self.outbox
            .with_untracked(|outbox| outbox.find(id).cloned())
    }

    /// The entries that a new connection sends, oldest first.
    pub(super) fn to_send_untracked(self) -> Vec<OutboxEntry> {
        self.outbox
            .with_untracked(|outbox| outbox.to_send().cloned().collect())
    }

    pub(super) fn update(self, change: impl FnOnce(&mut Outbox)) {
        self.outbox.update(change);
        if let Some(key) = self.storage_key.get_value() {
            // Serialising our own type to a string cannot fail.
            let text = self
                .outbox
                .with_untracked(|outbox| serde_json::to_string(outbox).unwrap_or_default());
            browser::session_storage_set(&key, &text);
        }
    }

    /// From before a reload, once. Browser only.
    pub(super) fn restore(self, author: UserId) {
        if self.storage_key.with_value(Option::is_some) {
            return;
        }
        let key = format!("rialto.outbox.{author}");
        let saved = browser::session_storage_get(&key);
        self.storage_key.set_value(Some(key));
        let saved = saved.and_then(|text| serde_json::from_str::<Outbox>(&text).ok());
        self.update(|outbox| {
            let written_since = std::mem::replace(outbox, saved.unwrap_or_default());
            for entry in written_since.to_send() {
                outbox.push(entry.id, entry.room, entry.text.clone(), entry.at);
            }
        });
    }
}
