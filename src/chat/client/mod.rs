//! The chat state of the page: rooms, timelines and outbox. The app owns it, so it survives navigation.
//!
//! The rules are pure and in `model` ([`Timeline`], [`Outbox`]); this is the shell that connects them to the socket.

mod read_cursor;
mod typing;
mod uploads;

pub use uploads::{Upload, UploadState, Uploads};

use super::api::RoomHistory;
use crate::{
    model::{
        MessageId, Millis, RoomId, Seq, UserId,
        limits::Limits,
        message::{Content, Message, MessageText, RoomEvent},
        outbox::{Outbox, OutboxEntry},
        room::RoomSummary,
        timeline::{MergeOutcome, Timeline},
        user::Person,
    },
    protocol::ws::{ClientFrame, RoomCursor, ServerFrame},
    ui::{browser, build::BuildTracker, socket::Socket},
};
use leptos::prelude::*;
use read_cursor::ReadCursorSender;
use std::collections::HashMap;
use typing::TypingUsers;

/// The chat state of the page. Provided once, by the app.
#[derive(Debug, Clone, Copy)]
pub struct ChatClient {
    rooms: RwSignal<Vec<RoomSummary>>,
    timelines: StoredValue<HashMap<RoomId, ArcRwSignal<Timeline>>>,
    outbox: RwSignal<Outbox>,
    typing_users: TypingUsers,
    read_cursors: ReadCursorSender,
    /// Incremented when a room cannot be resumed and must be fetched again.
    refetch_count: RwSignal<u32>,
    current_user: RwSignal<Option<Person>>,
    limits: RwSignal<Option<Limits>>,
    pub uploads: Uploads,
    /// Whether the composer holds unsent text.
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
    /// Creates the state and provides it to the whole app. Unsent messages, drafts and uploads block automatic reloads.
    pub fn provide(build: BuildTracker) -> Self {
        let uploads = Uploads::new();
        let chat = Self {
            rooms: RwSignal::new(Vec::new()),
            timelines: StoredValue::new(HashMap::new()),
            outbox: RwSignal::new(Outbox::default()),
            typing_users: TypingUsers::new(),
            read_cursors: ReadCursorSender::new(),
            refetch_count: RwSignal::new(0),
            current_user: RwSignal::new(None),
            limits: RwSignal::new(None),
            uploads,
            has_draft: RwSignal::new(false),
        };
        let would_lose =
            move || chat.has_outbox_entries() || uploads.has_active() || chat.has_draft.get();
        build.block_reload_while(Signal::derive(would_lose));
        provide_context(chat);
        chat
    }

    /// Starts handling frames. `viewer` is the user the page was rendered for. Browser only.
    pub fn subscribe(self, socket: Socket, viewer: Option<UserId>) {
        socket.set_cursor_provider(move || self.cursors());
        socket.on_frame(move |frame| self.on_frame(socket, viewer, frame));
    }

    /// The rooms of the current user, in list order.
    #[must_use]
    pub fn rooms(&self) -> Signal<Vec<RoomSummary>> {
        self.rooms.into()
    }

    #[must_use]
    pub fn room(&self, room: RoomId) -> Option<RoomSummary> {
        self.rooms
            .with(|rooms| rooms.iter().find(|known| known.id == room).cloned())
    }

    /// The number of unread messages in all rooms.
    #[must_use]
    pub fn unread(&self) -> i64 {
        self.rooms
            .with(|rooms| rooms.iter().map(|room| room.unread).sum())
    }

    /// The limits sent by the server; `None` before the first connection.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.limits.get_untracked()
    }

    /// A counter that changes when a room must be fetched again.
    #[must_use]
    pub fn refetch_count(&self) -> u32 {
        self.refetch_count.get()
    }

    /// Adds the server-rendered rooms. Rooms already received over the socket are newer and stay.
    pub fn set_initial_rooms(&self, rendered: Vec<RoomSummary>) {
        if self.rooms.with_untracked(Vec::is_empty) {
            self.rooms.set(rendered);
        } else {
            self.rooms.update(|rooms| {
                for room in rendered {
                    if !rooms.iter().any(|known| known.id == room.id) {
                        rooms.push(room);
                    }
                }
            });
        }
    }

    /// Returns the live timeline of a room whose newest page was fetched. The page replaces an existing timeline only
    /// if it is newer or has another epoch.
    pub fn open_timeline(&self, history: &RoomHistory) -> ArcRwSignal<Timeline> {
        let fetched = Timeline::new(
            history.room.epoch.clone(),
            history.room.head,
            history.messages.clone(),
            history.has_older,
        );
        let known = self
            .timelines
            .with_value(|timelines| timelines.get(&history.room.id).cloned());
        if let Some(known) = known {
            let (kept, new) = (known.with_untracked(Timeline::cursor), fetched.cursor());
            if kept.epoch != new.epoch || kept.seq < new.seq {
                known.set(fetched);
            }
            return known;
        }
        let timeline = ArcRwSignal::new(fetched);
        self.timelines.update_value(|timelines| {
            timelines.insert(history.room.id, timeline.clone());
        });
        timeline
    }

    /// Requests the events of a room after its timeline's cursor. Browser only.
    pub fn catch_up(&self, socket: Socket, room: RoomId) {
        let timeline = self
            .timelines
            .with_value(|timelines| timelines.get(&room).cloned());
        if let Some(timeline) = timeline {
            let cursor = timeline.with_untracked(Timeline::cursor);
            socket.send(&ClientFrame::Resume {
                cursor: RoomCursor { room, cursor },
            });
        }
    }

    /// The unacknowledged messages of a room, oldest first.
    #[must_use]
    pub fn outbox_entries(&self, room: RoomId) -> Vec<OutboxEntry> {
        self.outbox
            .with(|outbox| outbox.in_room(room).cloned().collect())
    }

    /// Whether any message is unacknowledged.
    #[must_use]
    pub fn has_outbox_entries(&self) -> bool {
        !self.outbox.with(Outbox::is_empty)
    }

    /// Sends a message through the outbox, which holds it until the server has committed it. Browser only.
    pub fn send_message(&self, socket: Socket, room: RoomId, text: MessageText) {
        let id = MessageId(browser::new_uuid());
        self.change_outbox(|outbox| outbox.push(id, room, text.clone(), browser::now()));
        socket.send(&ClientFrame::Send { id, room, text });
    }

    /// Sends a refused message again. Browser only.
    pub fn retry(&self, socket: Socket, id: MessageId) {
        self.change_outbox(|outbox| {
            outbox.retry(id);
        });
        let entry = self
            .outbox
            .with_untracked(|outbox| outbox.find(id).cloned());
        if let Some(OutboxEntry { id, room, text, .. }) = entry {
            socket.send(&ClientFrame::Send { id, room, text });
        }
    }

    /// Removes a refused message from the outbox. Browser only.
    pub fn discard(&self, id: MessageId) {
        self.change_outbox(|outbox| {
            outbox.discard(id);
        });
    }

    /// Sets whether the composer holds unsent text, which blocks automatic reloads.
    pub fn set_draft(&self, has_draft: bool) {
        if self.has_draft.get_untracked() != has_draft {
            self.has_draft.set(has_draft);
        }
    }

    /// Marks a room as read up to `seq` and sends the cursor, at most once a second per room. Browser only.
    pub fn mark_read(&self, socket: Socket, room: RoomId, seq: Seq) {
        let is_new = self.rooms.with_untracked(|rooms| {
            rooms
                .iter()
                .any(|known| known.id == room && (known.read_seq < seq || known.unread > 0))
        });
        if is_new && self.read_cursors.send(socket, room, seq) {
            self.change_room(room, |summary| {
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

    fn cursors(&self) -> Vec<RoomCursor> {
        let timelines = self.timelines.get_value();
        let cursor = |(room, timeline): (RoomId, ArcRwSignal<Timeline>)| RoomCursor {
            room,
            cursor: timeline.with_untracked(Timeline::cursor),
        };
        timelines.into_iter().map(cursor).collect()
    }

    fn on_frame(self, socket: Socket, viewer: Option<UserId>, frame: &ServerFrame) {
        match frame {
            ServerFrame::Welcome {
                user,
                rooms,
                limits,
                ..
            } => self.on_welcome(socket, viewer, user, rooms, *limits),
            ServerFrame::Resumed {
                room,
                recovered: false,
                ..
            } => {
                // An open room page fetches the room again; otherwise it is fetched when it is opened.
                self.timelines.update_value(|timelines| {
                    timelines.remove(room);
                });
                self.refetch_count.update(|stale| *stale += 1);
            }
            ServerFrame::Event {
                room,
                event: RoomEvent::Message { message },
                ..
            } => {
                self.on_message(socket, *room, message);
            }
            ServerFrame::Sent { id, room, seq, at } => {
                self.on_sent(*id, *room, *seq, *at);
                self.uploads.remove_finished(*id);
            }
            ServerFrame::Refused { id, reason, .. } => {
                self.change_outbox(|outbox| {
                    outbox.mark_failed(*id, reason);
                });
                self.uploads.mark_failed(*id, reason);
            }
            ServerFrame::UploadReady { id, offset } => self.uploads.resume_at(socket, *id, *offset),
            ServerFrame::UploadProgress { id, received } => {
                self.uploads.on_progress(socket, *id, *received);
            }
            ServerFrame::Room { room } => self.rooms.update(|rooms| {
                match rooms.iter_mut().find(|known| known.id == room.id) {
                    Some(known) => *known = room.clone(),
                    None => rooms.push(room.clone()),
                }
            }),
            ServerFrame::Read { room, seq, unread } => self.change_room(*room, |summary| {
                summary.read_seq = *seq;
                summary.unread = *unread;
            }),
            ServerFrame::Typing { room, person } => self.typing_users.on_typing(*room, person),
            ServerFrame::Resumed {
                recovered: true, ..
            }
            | ServerFrame::People { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Error { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::Crowd { .. }
            | ServerFrame::Call { .. }
            | ServerFrame::Signal { .. }
            | ServerFrame::GroupCall { .. } => {}
        }
    }

    fn on_welcome(
        self,
        socket: Socket,
        viewer: Option<UserId>,
        user: &Person,
        rooms: &[RoomSummary],
        limits: Limits,
    ) {
        if viewer.is_some_and(|viewer| viewer != user.id) {
            // Another user signed in to this browser while the page was disconnected: its content and its outbox are
            // not theirs. The outbox stays in session storage under its author's id.
            browser::reload();
            return;
        }
        if self.current_user.with_untracked(Option::is_none) {
            self.restore_outbox(user);
        }
        // The name may have changed.
        self.current_user.set(Some(user.clone()));
        self.rooms.set(rooms.to_vec());
        self.limits.set(Some(limits));
        let waiting: Vec<_> = self
            .outbox
            .with_untracked(|outbox| outbox.to_send().cloned().collect());
        for OutboxEntry { id, room, text, .. } in waiting {
            socket.send(&ClientFrame::Send { id, room, text });
        }
        self.uploads.reannounce_all(socket);
    }

    /// Handles a committed message of any author.
    fn on_message(self, socket: Socket, room: RoomId, message: &Message) {
        let timeline = self
            .timelines
            .with_value(|timelines| timelines.get(&room).cloned());
        if let Some(timeline) = timeline {
            Self::merge(&timeline, message.clone(), || self.catch_up(socket, room));
        }
        if self
            .outbox
            .with_untracked(|outbox| outbox.find(message.id).is_some())
        {
            self.change_outbox(|outbox| {
                outbox.acknowledge(message.id);
            });
        }
        let mine = self
            .current_user
            .with_untracked(|me| me.as_ref().is_some_and(|me| me.id == message.author.id));
        self.change_room(room, |summary| {
            if message.seq > summary.head {
                summary.head = message.seq;
                summary.unread += i64::from(!mine && message.content.counts_as_unread());
            }
        });
        self.typing_users.remove(room, message.author.id);
    }

    /// Handles the acknowledgement of a message of this page. It enters the timeline at once, unless earlier messages
    /// are missing: then it stays in the outbox until its event arrives after them.
    fn on_sent(self, id: MessageId, room: RoomId, seq: Seq, at: Millis) {
        let timeline = self
            .timelines
            .with_value(|timelines| timelines.get(&room).cloned());
        let sent = self
            .outbox
            .with_untracked(|outbox| outbox.find(id).cloned());
        let (Some(sent), Some(author)) = (sent, self.current_user.get_untracked()) else {
            return;
        };
        let message = Message {
            id,
            room,
            seq,
            author,
            at,
            content: Content::Text { text: sent.text },
        };
        let placed = timeline.is_none_or(|timeline| Self::merge(&timeline, message, || {}));
        if placed {
            self.change_outbox(|outbox| {
                outbox.acknowledge(id);
            });
        }
    }

    /// Merges a message into a timeline. Returns false, and calls `on_gap`, if earlier messages are missing.
    fn merge(timeline: &ArcRwSignal<Timeline>, message: Message, on_gap: impl FnOnce()) -> bool {
        let is_new = timeline.with_untracked(|timeline| message.seq > timeline.cursor().seq);
        if !is_new {
            return true;
        }
        let mut merged = MergeOutcome::Duplicate;
        timeline.update(|timeline| merged = timeline.merge(message));
        match merged {
            MergeOutcome::Added | MergeOutcome::Duplicate => true,
            MergeOutcome::Gap => {
                on_gap();
                false
            }
        }
    }

    fn change_room(self, room: RoomId, change: impl FnOnce(&mut RoomSummary)) {
        self.rooms.update(|rooms| {
            if let Some(summary) = rooms.iter_mut().find(|summary| summary.id == room) {
                change(summary);
            }
        });
    }

    /// Changes the outbox and saves it in session storage, which survives a reload.
    fn change_outbox(self, change: impl FnOnce(&mut Outbox)) {
        self.outbox.update(change);
        if let Some(key) = self.outbox_key() {
            // Serialising our own type to a string cannot fail.
            let text = self
                .outbox
                .with_untracked(|outbox| serde_json::to_string(outbox).unwrap_or_default());
            browser::session_storage_set(&key, &text);
        }
    }

    fn restore_outbox(self, user: &Person) {
        let kept = browser::session_storage_get(&outbox_key(user))
            .and_then(|text| serde_json::from_str::<Outbox>(&text).ok());
        let Some(kept) = kept else { return };
        self.outbox.update(|outbox| {
            let written_since = std::mem::replace(outbox, kept);
            for entry in written_since.to_send() {
                outbox.push(entry.id, entry.room, entry.text.clone(), entry.at);
            }
        });
    }

    fn outbox_key(self) -> Option<String> {
        self.current_user
            .with_untracked(|me| me.as_ref().map(outbox_key))
    }
}

fn outbox_key(user: &Person) -> String {
    format!("rialto.outbox.{}", user.id)
}
