//! The page's rooms, timelines and outbox: owned by the app, so that they live across navigation.
//!
//! The rules are pure and in `model` ([`Timeline`], [`Outbox`]); this is the shell that feeds them what the socket says and
//! tells the socket what follows.

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

/// What the page knows of chat. A handle: copy it freely. Provided once, by the app.
#[derive(Debug, Clone, Copy)]
pub struct ChatClient {
    rooms: RwSignal<Vec<RoomSummary>>,
    timelines: StoredValue<HashMap<RoomId, ArcRwSignal<Timeline>>>,
    outbox: RwSignal<Outbox>,
    typing_users: TypingUsers,
    read_cursors: ReadCursorSender,
    /// Grows when the server says that a room has to be fetched anew.
    refetch_count: RwSignal<u32>,
    current_user: RwSignal<Option<Person>>,
    limits: RwSignal<Option<Limits>>,
    /// The files on their way.
    pub uploads: Uploads,
    /// Whether something was typed that is not sent.
    has_draft: RwSignal<bool>,
}

/// What the page knows of chat.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_chat() -> ChatClient {
    expect_context()
}

impl ChatClient {
    /// Makes it available to the whole app.
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

    /// Starts to listen, for whom the page was rendered. Browser only.
    pub fn subscribe(self, socket: Socket, viewer: Option<UserId>) {
        socket.set_cursor_provider(move || self.cursors());
        socket.on_frame(move |frame| self.on_frame(socket, viewer, frame));
    }

    /// The rooms of this user, in the order of the list.
    #[must_use]
    pub fn rooms(&self) -> Signal<Vec<RoomSummary>> {
        self.rooms.into()
    }

    /// One of them.
    #[must_use]
    pub fn room(&self, room: RoomId) -> Option<RoomSummary> {
        self.rooms
            .with(|rooms| rooms.iter().find(|known| known.id == room).cloned())
    }

    /// How many messages are unread, in all rooms.
    #[must_use]
    pub fn unread(&self) -> i64 {
        self.rooms
            .with(|rooms| rooms.iter().map(|room| room.unread).sum())
    }

    /// The bounds the server told.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.limits.get_untracked()
    }

    /// Changes when a room has to be fetched anew.
    #[must_use]
    pub fn refetch_count(&self) -> u32 {
        self.refetch_count.get()
    }

    /// The list as the server rendered it. What the socket said since is newer and stays.
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

    /// The live timeline of a room whose newest page was fetched: the one that is there if it knows as much, else the page.
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

    /// Asks for what happened in a room since its timeline's end. Browser only.
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

    /// What waits to be acknowledged in a room, oldest first.
    #[must_use]
    pub fn outbox_entries(&self, room: RoomId) -> Vec<OutboxEntry> {
        self.outbox
            .with(|outbox| outbox.in_room(room).cloned().collect())
    }

    /// Whether messages wait to be acknowledged.
    #[must_use]
    pub fn has_outbox_entries(&self) -> bool {
        !self.outbox.with(Outbox::is_empty)
    }

    /// Sends a message: it is in the outbox from now on, and leaves it when the server has committed it. Browser only.
    pub fn send_message(&self, socket: Socket, room: RoomId, text: MessageText) {
        let id = MessageId(browser::new_uuid());
        self.change_outbox(|outbox| outbox.push(id, room, text.clone(), browser::now()));
        socket.send(&ClientFrame::Send { id, room, text });
    }

    /// Sends a message again that was refused. Browser only.
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

    /// Gives up a message that was refused. Browser only.
    pub fn discard(&self, id: MessageId) {
        self.change_outbox(|outbox| {
            outbox.discard(id);
        });
    }

    /// Says whether something is typed that is not sent: the page is then not reloaded by itself.
    pub fn set_draft(&self, has_draft: bool) {
        if self.has_draft.get_untracked() != has_draft {
            self.has_draft.set(has_draft);
        }
    }

    /// Everything up to here has been seen: said to the server at once, and then every second at most. Browser only.
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

    /// Who types in a room.
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
                // The page of the room, if it is open, fetches it anew; otherwise it is fetched when it is opened.
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
            // Somebody else signed in to this browser while this page was away: what it shows and what waits in it is not
            // theirs. The outbox is kept under the name of who wrote it.
            browser::reload();
            return;
        }
        if self.current_user.with_untracked(Option::is_none) {
            self.restore_outbox(user);
        }
        // The name may be a new one.
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

    /// A message was committed, by anybody.
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

    /// A message of this page was committed. It takes its place at once if nothing is missing before it; otherwise its event
    /// is on the way behind what is missing, and it stays in the outbox until then.
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

    /// True unless something before the message is missing.
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

    /// Changes the outbox and keeps it where a reload of the tab finds it.
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
