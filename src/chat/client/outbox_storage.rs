//! The outbox in session storage, to survive a reload.

use crate::{
    model::{UserId, outbox::Outbox},
    ui::browser,
};
use leptos::prelude::*;

#[derive(Debug, Clone, Copy)]
pub(super) struct OutboxStorage {
    /// `None` until the author is known.
    key: StoredValue<Option<String>>,
}

impl OutboxStorage {
    pub(super) fn new() -> Self {
        Self {
            key: StoredValue::new(None),
        }
    }

    /// The outbox from before a reload; `None` after the first call. Browser only.
    pub(super) fn load(self, author: UserId) -> Option<Outbox> {
        if self.key.with_value(Option::is_some) {
            return None;
        }
        let key = format!("rialto.outbox.{author}");
        let saved = browser::session_storage_get(&key);
        self.key.set_value(Some(key));
        let saved = saved.and_then(|text| serde_json::from_str(&text).ok());
        Some(saved.unwrap_or_default())
    }

    pub(super) fn save(self, outbox: &Outbox) {
        self.key.with_value(|key| {
            if let Some(key) = key {
                // Serializing our own type cannot fail.
                let text = serde_json::to_string(outbox).unwrap_or_default();
                browser::session_storage_set(key, &text);
            }
        });
    }
}
