//! The chat of the page, which survives navigation.
//!
//! [`ChatClient`] executes the effects of [`state`], which has the rules, and offers signals.

mod effects;
mod outbox_storage;
mod rooms;
mod staged_files;
pub mod state;
mod uploads;

pub use rooms::Rooms;
pub use staged_files::{StagedFile, StagedFiles};
pub use uploads::{Upload, UploadField, UploadList, UploadState, UploadStoreFields, Uploads};

use super::api::RoomHistory;
use crate::{
    model::{
        MessageId, RoomId, Seq,
        limits::Limits,
        message::{Message, MessageText},
        outbox::OutboxEntry,
        room::RoomSummary,
        timeline::Timeline,
        user::Person,
    },
    ui::{browser, build::BuildTracker, socket::Socket},
};
use leptos::prelude::*;
use outbox_storage::OutboxStorage;
use state::ChatState;
use std::collections::HashMap;

/// The chat of the page. Only the browser sends, retries, discards and marks as read.
#[derive(Debug, Clone, Copy)]
pub struct ChatClient {
    pub rooms: Rooms,
    pub uploads: Uploads,
    pub staged: StagedFiles,
    socket: Socket,
    state: StoredValue<ChatState>,
    storage: OutboxStorage,
    outbox_changed: Trigger,
    typing_changed: Trigger,
    /// Of the rooms whose timeline was read.
    timelines_changed: StoredValue<HashMap<RoomId, ArcTrigger>>,
    refetch_counts: RwSignal<HashMap<RoomId, u32>>,
    has_draft: RwSignal<bool>,
}

/// Returns the chat of the page.
///
/// # Panics
/// Outside the app.
#[must_use]
pub fn use_chat() -> ChatClient {
    expect_context()
}

impl ChatClient {
    fn new(socket: Socket) -> Self {
        Self {
            rooms: Rooms::new(),
            uploads: Uploads::new(),
            staged: StagedFiles::new(),
            socket,
            state: StoredValue::new(ChatState::default()),
            storage: OutboxStorage::new(),
            outbox_changed: Trigger::new(),
            typing_changed: Trigger::new(),
            timelines_changed: StoredValue::new(HashMap::new()),
            refetch_counts: RwSignal::new(HashMap::new()),
            has_draft: RwSignal::new(false),
        }
    }

    /// Provides the chat. Unsent messages, drafts and files block automatic reloads.
    pub fn provide(socket: Socket, build: BuildTracker) -> Self {
        let chat = Self::new(socket);
        let would_lose = move || {
            chat.has_outbox_entries()
                || chat.uploads.has_active()
                || chat.staged.has_any()
                || chat.has_draft.get()
        };
        build.block_reload_while(Signal::derive(would_lose));
        provide_context(chat);
        chat
    }

    /// `None` before the first connection.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.state.with_value(ChatState::limits)
    }

    /// A counter that changes when this room must be fetched again.
    #[must_use]
    pub fn refetch_count(&self, slug: &str) -> u32 {
        let room = self.rooms.find_id(slug);
        self.refetch_counts
            .with(|counts| room.and_then(|room| counts.get(&room).copied()))
            .unwrap_or_default()
    }

    /// Adds rooms from a rendered list, except known ones.
    pub fn add_unknown_rooms(&self, rooms: &[RoomSummary]) {
        self.update(|state| state.add_unknown_rooms(rooms));
    }

    /// Moves the messages of a newest page into the room's timeline.
    pub fn take_newest_page(&self, page: &mut RoomHistory) {
        if page.is_newest {
            let messages = std::mem::take(&mut page.messages);
            self.update(|state| state.open_page(&page.room, messages, page.has_older));
        }
    }

    /// Adds an older page above a timeline.
    pub fn prepend_page(&self, room: RoomId, messages: Vec<Message>, has_older: bool) {
        self.update(|state| state.prepend_page(room, messages, has_older));
    }

    /// Reads a room's timeline and tracks it. `None` once the room was left for several others.
    pub fn with_timeline<T>(&self, room: RoomId, read: impl FnOnce(&Timeline) -> T) -> Option<T> {
        self.timeline_trigger(room).track();
        self.with_timeline_untracked(room, read)
    }

    /// As [`Self::with_timeline`], without tracking. `read` must not use the chat.
    pub fn with_timeline_untracked<T>(
        &self,
        room: RoomId,
        read: impl FnOnce(&Timeline) -> T,
    ) -> Option<T> {
        self.state
            .with_value(|state| state.timeline(room).map(read))
    }

    fn timeline_trigger(&self, room: RoomId) -> ArcTrigger {
        let trigger = self
            .timelines_changed
            .try_update_value(|triggers| triggers.entry(room).or_default().clone());
        trigger.unwrap_or_default()
    }

    /// Unacknowledged messages, oldest first.
    #[must_use]
    pub fn outbox_entries(&self, room: RoomId) -> Vec<OutboxEntry> {
        self.outbox_changed.track();
        self.state
            .with_value(|state| state.outbox().in_room(room).cloned().collect())
    }

    /// Whether any message is unacknowledged.
    #[must_use]
    pub fn has_outbox_entries(&self) -> bool {
        self.outbox_changed.track();
        self.state.with_value(|state| !state.outbox().is_empty())
    }

    /// Sends a message through the outbox.
    pub fn send_message(&self, room: RoomId, text: MessageText) {
        let (id, at) = (MessageId(browser::new_uuid()), browser::now());
        self.update(|state| state.send_message(id, room, text, at));
    }

    /// Sends a refused message again.
    pub fn retry(&self, id: MessageId) {
        self.update(|state| state.retry(id));
    }

    /// Removes an unacknowledged message.
    pub fn discard(&self, id: MessageId) {
        self.update(|state| state.discard(id));
    }

    /// Sets whether unsent text blocks automatic reloads.
    pub fn set_draft(&self, has_draft: bool) {
        if self.has_draft.get_untracked() != has_draft {
            self.has_draft.set(has_draft);
        }
    }

    /// Marks a room as read up to and including `seq`.
    pub fn mark_read(&self, room: RoomId, seq: Seq) {
        self.update(|state| state.mark_read(room, seq));
    }

    /// The people typing in a room.
    #[must_use]
    pub fn typing(&self, room: RoomId) -> Vec<Person> {
        self.typing_changed.track();
        self.state
            .with_value(|state| state.typing(room).cloned().collect())
    }
}
