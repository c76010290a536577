//! The chat state of the page. The app owns it, so it survives navigation; the rules are in `model`.

mod frames;
mod outbox;
mod read_cursor;
mod resend;
mod rooms;
mod timelines;
mod typing;
mod uploads;

pub use rooms::Rooms;
pub use uploads::{Upload, UploadField, UploadList, UploadState, UploadStoreFields, Uploads};

use super::api::RoomHistory;
use crate::{
    model::{
        MessageId, RoomId, Seq, limits::Limits, message::MessageText, outbox::OutboxEntry,
        timeline::Timeline, user::Person,
    },
    protocol::ws::{ClientFrame, RoomCursor},
    ui::{browser, build::BuildTracker, socket::Socket},
};
use leptos::prelude::*;
use outbox::SavedOutbox;
use read_cursor::ReadCursorSender;
use resend::ResendState;
use std::collections::{HashMap, HashSet};
use timelines::Timelines;
use typing::TypingUsers;

/// The chat state of the page, provided once by the app.
#[derive(Debug, Clone, Copy)]
pub struct ChatClient {
    pub rooms: Rooms,
    pub uploads: Uploads,
    timelines: Timelines,
    outbox: SavedOutbox,
    typing_users: TypingUsers,
    read_cursors: ReadCursorSender,
    resend: StoredValue<ResendState>,
    refetch_counts: RwSignal<HashMap<RoomId, u32>>,
    current_user: StoredValue<Option<Person>>,
    limits: StoredValue<Option<Limits>>,
    has_draft: RwSignal<bool>,
}

/// Returns the chat state of the page.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_chat() -> ChatClient {
    expect_context()
}

impl ChatClient {
    fn new() -> Self {
        Self {
            rooms: Rooms::new(),
            uploads: Uploads::new(),
            timelines: Timelines::new(),
            outbox: SavedOutbox::new(),
            typing_users: TypingUsers::new(),
            read_cursors: ReadCursorSender::new(),
            resend: StoredValue::new(ResendState::default()),
            refetch_counts: RwSignal::new(HashMap::new()),
            current_user: StoredValue::new(None),
            limits: StoredValue::new(None),
            has_draft: RwSignal::new(false),
        }
    }

    /// Provides the state to the app. Unsent messages, drafts and uploads block automatic reloads.
    pub fn provide(build: BuildTracker) -> Self {
        let chat = Self::new();
        let would_lose =
            move || chat.has_outbox_entries() || chat.uploads.has_active() || chat.has_draft.get();
        build.block_reload_while(Signal::derive(would_lose));
        provide_context(chat);
        chat
    }

    /// `None` before the first connection.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.limits.get_value()
    }

    /// A counter that changes when this room must be fetched again.
    #[must_use]
    pub fn refetch_count(&self, slug: &str) -> u32 {
        let room = self.rooms.find_id(slug);
        self.refetch_counts
            .with(|counts| room.and_then(|room| counts.get(&room).copied()))
            .unwrap_or_default()
    }

    /// Takes the messages out of a newest page and returns the live timeline; otherwise `None`.
    pub fn take_newest_page(&self, page: &mut RoomHistory) -> Option<ArcRwSignal<Timeline>> {
        page.is_newest.then(|| {
            let messages = std::mem::take(&mut page.messages);
            for message in &messages {
                self.acknowledge(message.id);
            }
            let room = &page.room;
            let fetched = Timeline::new(room.epoch.clone(), room.head, messages, page.has_older);
            self.timelines.open(room.id, fetched)
        })
    }

    /// Requests the events after the timeline's cursor. Browser only.
    pub fn catch_up(&self, socket: Socket, room: RoomId) {
        if let Some(timeline) = self.timelines.find(room) {
            let cursor = timeline.with_untracked(Timeline::cursor);
            socket.send(&ClientFrame::Resume {
                cursor: RoomCursor { room, cursor },
            });
        }
    }

    /// Unacknowledged messages, oldest first.
    #[must_use]
    pub fn outbox_entries(&self, room: RoomId) -> Vec<OutboxEntry> {
        self.outbox.in_room(room)
    }

    /// Whether any message is unacknowledged.
    #[must_use]
    pub fn has_outbox_entries(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Sends a message through the outbox. Browser only.
    pub fn send_message(&self, socket: Socket, room: RoomId, text: MessageText) {
        let id = MessageId(browser::new_uuid());
        self.outbox
            .update(|outbox| outbox.push(id, room, text.clone(), browser::now()));
        socket.send(&ClientFrame::Send { id, room, text });
    }

    /// Sends those that are still in the outbox, in its order.
    fn send_again(&self, socket: Socket, ids: &HashSet<MessageId>) {
        for OutboxEntry { id, room, text, .. } in self.outbox.to_send_untracked() {
            if ids.contains(&id) {
                socket.send(&ClientFrame::Send { id, room, text });
            }
        }
    }

    /// Sends a refused message again. Browser only.
    pub fn retry(&self, socket: Socket, id: MessageId) {
        self.outbox.update(|outbox| {
            outbox.retry(id);
        });
        if let Some(OutboxEntry { id, room, text, .. }) = self.outbox.find_untracked(id) {
            socket.send(&ClientFrame::Send { id, room, text });
        }
    }

    /// Removes a refused message. Browser only.
    pub fn discard(&self, id: MessageId) {
        self.outbox.update(|outbox| {
            outbox.discard(id);
        });
    }

    /// Sets whether unsent text blocks automatic reloads.
    pub fn set_draft(&self, has_draft: bool) {
        if self.has_draft.get_untracked() != has_draft {
            self.has_draft.set(has_draft);
        }
    }

    /// Marks a room as read up to `seq` and sends the cursor. Browser only.
    pub fn mark_read(&self, socket: Socket, room: RoomId, seq: Seq) {
        if self.rooms.is_unread_untracked(room, seq) && self.read_cursors.send(socket, room, seq) {
            self.rooms.update(room, |summary| {
                summary.read_seq = seq;
                summary.unread = 0;
            });
        }
    }

    /// The people typing in a room.
    #[must_use]
    pub fn typing(&self, room: RoomId) -> Vec<Person> {
        self.typing_users.in_room(room)
    }
}
