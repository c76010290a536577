//! Passes frames and timers to the state, and executes its effects.

use super::{
    ChatClient,
    state::{ChatState, Effect, Timer},
};
use crate::{model::UserId, protocol::ws::ServerFrame, ui::browser};
use leptos::prelude::*;

impl ChatClient {
    /// Starts handling frames for `viewer`. Browser only.
    pub fn subscribe(self, viewer: Option<UserId>) {
        if let Some(viewer) = viewer
            && let Some(saved) = self.storage.load(viewer)
        {
            self.update(|state| state.restore(viewer, saved));
        }
        self.socket.set_cursor_provider(move || {
            let cursors = self.state.try_update_value(ChatState::on_open);
            cursors.unwrap_or_default()
        });
        self.socket.on_frame(move |frame| self.on_frame(frame));
    }

    fn on_frame(self, frame: &ServerFrame) {
        self.update(|state| state.on_frame(frame, browser::random()));
        match frame {
            ServerFrame::Sent { id, .. } => self.uploads.remove_finished(*id),
            ServerFrame::Refused(refusal) => {
                if let Some(id) = refusal.id {
                    self.uploads.mark_failed(id, &refusal.reason);
                }
            }
            ServerFrame::UploadReady { id, offset } => {
                self.uploads.resume_at(self.socket, *id, *offset);
            }
            ServerFrame::UploadProgress { id, received } => {
                self.uploads.on_progress(self.socket, *id, *received);
            }
            ServerFrame::Welcome { .. }
            | ServerFrame::People { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Resumed { .. }
            | ServerFrame::Event { .. }
            | ServerFrame::Room { .. }
            | ServerFrame::Read { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::Settings { .. }
            | ServerFrame::Crowd { .. }
            | ServerFrame::Typing { .. }
            | ServerFrame::Call { .. }
            | ServerFrame::Signal { .. }
            | ServerFrame::GroupCall { .. }
            | ServerFrame::Error(_) => {}
        }
    }

    pub(super) fn update(self, change: impl FnOnce(&mut ChatState) -> Vec<Effect>) {
        let effects = self.state.try_update_value(change);
        for effect in effects.unwrap_or_default() {
            self.apply(effect);
        }
    }

    fn apply(self, effect: Effect) {
        match effect {
            Effect::Send(frame) => _ = self.socket.send(&frame),
            Effect::StartTimer { timer, delay_ms } => self.start_timer(timer, delay_ms),
            Effect::OutboxChanged => {
                self.state
                    .with_value(|state| self.storage.save(state.outbox()));
                self.outbox_changed.notify();
            }
            Effect::RoomsChanged => {
                let rooms = self.state.with_value(|state| state.rooms().to_vec());
                self.rooms.replace_all(rooms);
            }
            Effect::RoomChanged(room) => {
                self.state.with_value(|state| {
                    if let Some(room) = state.room(room) {
                        self.rooms.upsert(room);
                    }
                });
            }
            Effect::TimelineChanged(room) => self.timeline_trigger(room).notify(),
            Effect::TypingChanged => self.typing_changed.notify(),
            Effect::RefetchRoom(room) => self
                .refetch_counts
                .update(|counts| *counts.entry(room).or_default() += 1),
            Effect::ResumeUploads => self.uploads.reannounce_all(self.socket),
            Effect::ReloadPage => browser::reload(),
        }
    }

    fn start_timer(self, timer: Timer, delay_ms: u32) {
        browser::run_after(i32::try_from(delay_ms).unwrap_or(i32::MAX), move || {
            self.update(|state| state.on_timer(timer));
        });
    }
}

// Effects run without `ssr`, and these need a browser.
#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;
    use crate::{
        model::{
            Epoch, MessageId, RoomId, Seq, UserId,
            message::{Content, Message, MessageText, RoomEvent},
            room::{RoomKind, RoomSummary},
            timeline::Timeline,
            user::{Person, Role, UserName},
        },
        ui::{build::BuildTracker, page_visibility::provide_page_visibility, socket::Socket},
    };
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use uuid::Uuid;

    fn room(id: u128) -> RoomSummary {
        RoomSummary {
            id: RoomId(Uuid::from_u128(id)),
            slug: format!("room-{id}"),
            title: format!("Room {id}"),
            kind: RoomKind::Public,
            other_person: None,
            epoch: Epoch("a".into()),
            head: 0,
            read_seq: 0,
            unread: 0,
            is_hidden: false,
        }
    }

    fn message(room: RoomId, seq: Seq) -> ServerFrame {
        let message = Message {
            id: MessageId(Uuid::from_u128(seq.unsigned_abs().into())),
            room,
            seq,
            author: Person {
                id: UserId(Uuid::from_u128(2)),
                name: UserName::new("Grace").unwrap(),
                role: Role::Guest,
            },
            at: 0,
            content: Content::Text {
                text: MessageText::new("Hi").unwrap(),
            },
        };
        let event = RoomEvent::Message { message };
        ServerFrame::Event { room, seq, event }
    }

    fn counted_head(chat: ChatClient, room: RoomId) -> (Memo<Option<Seq>>, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let head = Memo::new(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            chat.with_timeline(room, Timeline::head)
        });
        (head, count)
    }

    #[test]
    fn a_message_notifies_the_readers_of_its_timeline_and_its_unread_count_only() {
        Owner::new().with(|| {
            provide_page_visibility();
            let chat = ChatClient::new(Socket::provide(BuildTracker::provide()));
            let rooms = [room(1), room(2)];
            chat.add_unknown_rooms(&rooms);
            for room in &rooms {
                chat.update(|state| state.open_page(room, Vec::new(), false));
            }
            let [one, two] = rooms.each_ref().map(|room| counted_head(chat, room.id));
            let counts = || {
                let _ = (one.0.get_untracked(), two.0.get_untracked());
                [&one.1, &two.1].map(|count| count.load(Ordering::Relaxed))
            };
            assert_eq!(counts(), [1, 1]);
            let frame = message(rooms[1].id, 1);
            chat.update(|state| state.on_frame(&frame, 0.0));
            assert_eq!(counts(), [1, 2]);
            assert_eq!(two.0.get_untracked(), Some(1));
            assert_eq!(chat.rooms.unread(), 1);
            chat.update(|state| state.on_frame(&frame, 0.0));
            assert_eq!(counts(), [1, 2], "a repeated message changes nothing");
        });
    }

    #[test]
    fn only_the_room_that_cannot_be_resumed_is_fetched_again() {
        Owner::new().with(|| {
            provide_page_visibility();
            let chat = ChatClient::new(Socket::provide(BuildTracker::provide()));
            let rooms = [room(1), room(2)];
            chat.add_unknown_rooms(&rooms);
            let refetch_counts = || rooms.each_ref().map(|room| chat.refetch_count(&room.slug));
            assert_eq!(refetch_counts(), [0, 0]);
            let resumed = ServerFrame::Resumed {
                room: rooms[1].id,
                recovered: false,
                epoch: Epoch("a".into()),
                head: 0,
            };
            chat.update(|state| state.on_frame(&resumed, 0.0));
            assert_eq!(refetch_counts(), [0, 1]);
        });
    }
}
