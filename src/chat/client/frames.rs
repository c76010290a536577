//! Handling of the server's frames.

use super::{
    ChatClient,
    resend::{Backoff, ResendState},
};
use crate::{
    model::{
        MessageId, Millis, RoomId, Seq, UserId,
        limits::Limits,
        message::{Content, Message, RoomEvent},
        outbox::OutboxEntry,
        room::RoomSummary,
        timeline::{MergeOutcome, Timeline},
        user::Person,
    },
    protocol::ws::{ClientFrame, ErrorCode, ServerFrame},
    ui::{browser, socket::Socket},
};
use leptos::prelude::*;

impl ChatClient {
    /// Starts handling frames. `viewer` is the user the page was rendered for. Browser only.
    pub fn subscribe(self, socket: Socket, viewer: Option<UserId>) {
        if let Some(author) = viewer {
            self.outbox.restore(author);
            // The page may have been rendered after they were committed.
            for id in self.timelines.message_ids() {
                self.acknowledge(id);
            }
        }
        socket.set_cursor_provider(move || self.timelines.cursors());
        socket.on_frame(move |frame| self.on_frame(socket, viewer, frame));
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
                self.on_unrecoverable(*room);
            }
            ServerFrame::Event {
                room,
                event: RoomEvent::Message { message },
                ..
            } => self.on_message(*room, message, || self.catch_up(socket, *room)),
            ServerFrame::Sent { id, room, seq, at } => {
                self.on_sent(*id, *room, *seq, *at);
                self.uploads.remove_finished(*id);
                let waiting = self.resend.try_update_value(ResendState::on_accepted);
                self.send_again(socket, &waiting.unwrap_or_default());
            }
            ServerFrame::Refused(refusal) => {
                if let Some(id) = refusal.id {
                    self.on_refused(socket, id, refusal.code, &refusal.reason);
                }
            }
            ServerFrame::UploadReady { id, offset } => self.uploads.resume_at(socket, *id, *offset),
            ServerFrame::UploadProgress { id, received } => {
                self.uploads.on_progress(socket, *id, *received);
            }
            ServerFrame::Room { room } => self.rooms.upsert(room),
            ServerFrame::Read { room, seq, unread } => {
                self.rooms.update(*room, |summary| {
                    summary.read_seq = *seq;
                    summary.unread = *unread;
                });
            }
            ServerFrame::Typing { room, person } => self.typing_users.on_typing(*room, person),
            ServerFrame::Resumed {
                recovered: true, ..
            }
            | ServerFrame::People { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Error(_)
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
            // Another user signed in to this browser meanwhile. The outbox stays in session storage under its
            // author's id.
            browser::reload();
            return;
        }
        // The name may have changed.
        self.current_user.set_value(Some(user.clone()));
        self.rooms.replace_all(rooms.to_vec());
        self.limits.set_value(Some(limits));
        for (room, seq) in self.read_cursors.take_unsent() {
            self.mark_read(socket, room, seq);
        }
        self.resend.update_value(ResendState::on_welcome);
        for OutboxEntry { id, room, text, .. } in self.outbox.to_send_untracked() {
            socket.send(&ClientFrame::Send { id, room, text });
        }
        self.uploads.reannounce_all(socket);
    }

    /// An open room page fetches the room again.
    fn on_unrecoverable(self, room: RoomId) {
        self.timelines.remove(room);
        self.refetch_counts
            .update(|counts| *counts.entry(room).or_default() += 1);
    }

    fn on_refused(self, socket: Socket, id: MessageId, code: ErrorCode, reason: &str) {
        let is_delayed = code == ErrorCode::Unavailable && self.outbox.find_untracked(id).is_some();
        if !is_delayed {
            self.outbox.update(|outbox| {
                outbox.mark_failed(id, reason);
            });
            self.uploads.mark_failed(id, reason);
            return;
        }
        self.outbox.update(|outbox| {
            outbox.mark_delayed(id);
        });
        let refused = |resend: &mut ResendState| resend.on_refused(id, browser::random());
        let backoff = self.resend.try_update_value(refused).flatten();
        if let Some(Backoff { number, delay_ms }) = backoff {
            browser::run_after(i32::try_from(delay_ms).unwrap_or(i32::MAX), move || {
                let ended = |resend: &mut ResendState| resend.end_backoff(number);
                let due = self.resend.try_update_value(ended);
                self.send_again(socket, &due.unwrap_or_default());
            });
        }
    }

    fn on_message(self, room: RoomId, message: &Message, on_gap: impl FnOnce()) {
        if let Some(timeline) = self.timelines.find(room) {
            merge(&timeline, message.clone(), on_gap);
        }
        self.acknowledge(message.id);
        let is_mine = self
            .current_user
            .with_value(|me| me.as_ref().is_some_and(|me| me.id == message.author.id));
        self.rooms.update(room, |summary| {
            if message.seq > summary.head {
                summary.head = message.seq;
                summary.unread += i64::from(!is_mine && message.content.counts_as_unread());
            }
        });
        self.typing_users.remove(room, message.author.id);
    }

    /// If earlier messages are missing, the message stays in the outbox until its event arrives after them.
    fn on_sent(self, id: MessageId, room: RoomId, seq: Seq, at: Millis) {
        let sent = self.outbox.find_untracked(id);
        let (Some(sent), Some(author)) = (sent, self.current_user.get_value()) else {
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
        let timeline = self.timelines.find(room);
        if timeline.is_none_or(|timeline| merge(&timeline, message, || {})) {
            self.acknowledge(id);
        }
    }

    pub(super) fn acknowledge(self, id: MessageId) {
        if self.outbox.find_untracked(id).is_some() {
            self.outbox.update(|outbox| {
                outbox.acknowledge(id);
            });
        }
    }
}

/// Returns false, and calls `on_gap`, if earlier messages are missing.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::api::RoomHistory;
    use crate::model::{
        Epoch,
        message::MessageText,
        room::RoomKind,
        user::{Role, UserName},
    };
    use uuid::Uuid;

    fn person(id: u128, name: &str) -> Person {
        Person {
            id: UserId(Uuid::from_u128(id)),
            name: UserName::new(name).unwrap(),
            role: Role::Guest,
        }
    }

    fn text(text: &str) -> MessageText {
        MessageText::new(text).unwrap()
    }

    fn room(id: u128) -> RoomId {
        RoomId(Uuid::from_u128(id))
    }

    fn summary(id: RoomId) -> RoomSummary {
        RoomSummary {
            id,
            slug: id.to_string(),
            title: "Room".to_owned(),
            kind: RoomKind::Public,
            other_person: None,
            epoch: Epoch("a".into()),
            head: 0,
            read_seq: 0,
            unread: 0,
        }
    }

    fn message(id: u128, room: RoomId, seq: Seq) -> Message {
        Message {
            id: MessageId(Uuid::from_u128(id)),
            room,
            seq,
            author: person(2, "Grace"),
            at: 0,
            content: Content::Text { text: text("Hi") },
        }
    }

    #[test]
    fn a_room_that_was_left_loses_its_timeline_but_neither_unsent_nor_unread_messages() {
        Owner::new().with(|| {
            let chat = ChatClient::new();
            let left = room(1);
            chat.rooms
                .replace_all((1..=9).map(|id| summary(room(id))).collect());
            chat.current_user.set_value(Some(person(1, "Ada")));
            let open = |room| {
                let page = Timeline::new(Epoch("a".into()), 0, Vec::new(), false);
                chat.timelines.open(room, page)
            };
            open(left);
            let unsent = MessageId(Uuid::from_u128(7));
            chat.outbox
                .update(|outbox| outbox.push(unsent, left, text("Unsent"), 0));
            for id in 2..=9 {
                open(room(id));
            }
            assert!(chat.timelines.find(left).is_none());
            assert_eq!(chat.outbox.to_send_untracked().len(), 1);

            chat.on_message(left, &message(8, left, 1), || {
                panic!("nothing to catch up with")
            });
            assert_eq!(chat.rooms.unread(), 1);
            assert_eq!(
                chat.outbox_entries(left)[0].id,
                unsent,
                "it waits for its acknowledgement"
            );
            chat.on_sent(unsent, left, 2, 0);
            assert!(!chat.has_outbox_entries());
        });
    }

    #[test]
    fn only_the_room_that_cannot_be_resumed_is_fetched_again() {
        Owner::new().with(|| {
            let chat = ChatClient::new();
            let rooms = [summary(room(1)), summary(room(2))];
            let slugs = rooms.each_ref().map(|room| room.slug.clone());
            chat.rooms.replace_all(rooms.into());
            let refetch_count = |slug: &String| chat.refetch_count(slug);
            assert_eq!(slugs.each_ref().map(refetch_count), [0, 0]);
            chat.on_unrecoverable(room(2));
            assert_eq!(slugs.each_ref().map(refetch_count), [0, 1]);
        });
    }

    #[test]
    fn a_fetched_page_acknowledges_the_messages_it_contains() {
        Owner::new().with(|| {
            let chat = ChatClient::new();
            let here = room(1);
            chat.current_user.set_value(Some(person(1, "Ada")));
            let page = Timeline::new(Epoch("a".into()), 0, Vec::new(), false);
            chat.timelines.open(here, page);
            for id in [7, 8] {
                let id = MessageId(Uuid::from_u128(id));
                chat.outbox
                    .update(|outbox| outbox.push(id, here, text("Mine"), 0));
            }
            chat.on_sent(MessageId(Uuid::from_u128(7)), here, 2, 0);
            chat.on_unrecoverable(here);
            let mut fetched = RoomHistory {
                room: RoomSummary {
                    head: 2,
                    ..summary(here)
                },
                messages: vec![message(6, here, 1), message(7, here, 2)],
                has_older: false,
                is_newest: true,
                form_message_id: MessageId(Uuid::nil()),
            };
            chat.take_newest_page(&mut fetched);
            let unsent = chat.outbox_entries(here);
            assert_eq!(unsent.len(), 1);
            assert_eq!(unsent[0].id, MessageId(Uuid::from_u128(8)));
        });
    }

    #[test]
    fn a_message_whose_acknowledgement_overtakes_earlier_ones_waits_in_the_outbox() {
        Owner::new().with(|| {
            let chat = ChatClient::new();
            let here = room(1);
            chat.current_user.set_value(Some(person(1, "Ada")));
            let page = Timeline::new(Epoch("a".into()), 0, Vec::new(), false);
            let timeline = chat.timelines.open(here, page);
            let sent = MessageId(Uuid::from_u128(7));
            chat.outbox
                .update(|outbox| outbox.push(sent, here, text("Mine"), 0));
            chat.on_sent(sent, here, 2, 0);
            assert!(chat.has_outbox_entries());

            chat.on_message(here, &message(8, here, 1), || panic!("no gap"));
            chat.on_message(here, &message(7, here, 2), || panic!("no gap"));
            assert!(!chat.has_outbox_entries());
            assert_eq!(
                timeline.with_untracked(|timeline| timeline.messages().len()),
                2
            );
        });
    }
}
