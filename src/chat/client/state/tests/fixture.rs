//! A page whose effects are recorded, and the frames it receives.

use crate::{
    chat::client::state::{ChatState, Effect, Timer},
    model::{
        Cursor, Epoch, MessageId, RoomId, Seq, UserId,
        limits::Limits,
        message::{Content, Message, MessageText, RoomEvent},
        outbox::Delivery,
        room::{RoomKind, RoomSummary},
        user::{Person, PersonalSettings, Role, UserName},
    },
    protocol::ws::{ClientFrame, ErrorCode, Refusal, RoomCursor, ServerFrame},
};
use uuid::Uuid;

/// Of user 1, with an empty history.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) state: ChatState,
    /// With delays in milliseconds.
    pub(super) timers: Vec<(Timer, u32)>,
    pub(super) refetched: Vec<RoomId>,
}

impl Page {
    pub(super) fn welcomed(rooms: impl IntoIterator<Item = RoomId>) -> Self {
        let mut page = Self::default();
        page.state.on_open();
        page.receive(&welcome(rooms.into_iter().map(summary)));
        page
    }

    /// Returns the sent frames.
    pub(super) fn apply(
        &mut self,
        change: impl FnOnce(&mut ChatState) -> Vec<Effect>,
    ) -> Vec<ClientFrame> {
        let mut sent = Vec::new();
        for effect in change(&mut self.state) {
            match effect {
                Effect::Send(frame) => sent.push(frame),
                Effect::StartTimer { timer, delay_ms } => self.timers.push((timer, delay_ms)),
                Effect::RefetchRoom(room) => self.refetched.push(room),
                Effect::OutboxChanged
                | Effect::RoomsChanged
                | Effect::RoomChanged(_)
                | Effect::TimelineChanged(_)
                | Effect::TypingChanged
                | Effect::ResumeUploads
                | Effect::ReloadPage => {}
            }
        }
        sent
    }

    pub(super) fn receive(&mut self, frame: &ServerFrame) -> Vec<ClientFrame> {
        self.apply(|state| state.on_frame(frame, 0.0))
    }

    /// What is rendered again after a frame.
    pub(super) fn changes(&mut self, frame: &ServerFrame) -> Vec<&'static str> {
        let effects = self.state.on_frame(frame, 0.0).into_iter();
        let name = |effect| match effect {
            Effect::OutboxChanged => Some("outbox"),
            Effect::RoomsChanged => Some("rooms"),
            Effect::RoomChanged(_) => Some("room"),
            Effect::TimelineChanged(_) => Some("timeline"),
            Effect::TypingChanged => Some("typing"),
            Effect::Send(_)
            | Effect::StartTimer { .. }
            | Effect::RefetchRoom(_)
            | Effect::ResumeUploads
            | Effect::ReloadPage => None,
        };
        effects.filter_map(name).collect()
    }

    pub(super) fn fire_timers(&mut self) -> Vec<ClientFrame> {
        let timers = std::mem::take(&mut self.timers).into_iter();
        timers
            .flat_map(|(timer, _)| self.apply(|state| state.on_timer(timer)))
            .collect()
    }

    pub(super) fn send_message(&mut self, n: u128, room: RoomId) -> Vec<ClientFrame> {
        self.apply(|state| state.send_message(id(n), room, text(n), 0))
    }

    pub(super) fn mark_read(&mut self, room: RoomId, seq: Seq) -> Vec<ClientFrame> {
        self.apply(|state| state.mark_read(room, seq))
    }

    pub(super) fn open(
        &mut self,
        room: RoomId,
        head: Seq,
        messages: Vec<Message>,
    ) -> Vec<ClientFrame> {
        let fetched = summary_at(room, head, 0);
        self.apply(|state| state.open_page(&fetched, messages, false))
    }

    pub(super) fn seqs(&self, room: RoomId) -> Vec<Seq> {
        let timeline = self.state.timeline(room).unwrap();
        timeline
            .messages()
            .iter()
            .map(|message| message.seq)
            .collect()
    }

    pub(super) fn unread(&self, room: RoomId) -> i64 {
        self.state.room(room).unwrap().unread
    }

    pub(super) fn unacknowledged(&self, room: RoomId) -> Vec<MessageId> {
        let entries = self.state.outbox().in_room(room);
        entries.map(|entry| entry.id).collect()
    }

    pub(super) fn delivery(&self, n: u128) -> Option<Delivery> {
        let entry = self.state.outbox().find(id(n));
        entry.map(|entry| entry.delivery.clone())
    }
}

pub(super) fn id(n: u128) -> MessageId {
    MessageId(Uuid::from_u128(n))
}

pub(super) fn room(n: u128) -> RoomId {
    RoomId(Uuid::from_u128(n))
}

pub(super) fn person(n: u128) -> Person {
    Person {
        id: UserId(Uuid::from_u128(n)),
        name: UserName::new(&format!("Person {n}")).unwrap(),
        role: Role::Guest,
    }
}

fn text(n: u128) -> MessageText {
    MessageText::new(&format!("Message {n}")).unwrap()
}

pub(super) fn summary(id: RoomId) -> RoomSummary {
    summary_at(id, 0, 0)
}

pub(super) fn summary_at(id: RoomId, head: Seq, read_seq: Seq) -> RoomSummary {
    RoomSummary {
        id,
        slug: id.to_string(),
        title: "Room".to_owned(),
        kind: RoomKind::Public,
        other_person: None,
        epoch: Epoch("a".into()),
        head,
        read_seq,
        unread: 0,
        is_hidden: false,
    }
}

/// Of user 2.
pub(super) fn message(n: u128, room: RoomId, seq: Seq) -> Message {
    Message {
        id: id(n),
        room,
        seq,
        author: person(2),
        at: 0,
        content: Content::Text { text: text(n) },
    }
}

pub(super) fn mine(n: u128, room: RoomId, seq: Seq) -> Message {
    Message {
        author: person(1),
        ..message(n, room, seq)
    }
}

pub(super) fn welcome(rooms: impl IntoIterator<Item = RoomSummary>) -> ServerFrame {
    ServerFrame::Welcome {
        user: person(1),
        rooms: rooms.into_iter().collect(),
        crowd: 1,
        settings: PersonalSettings::default(),
        limits: Limits::default(),
        heartbeat_ms: 15_000,
        build: "build".to_owned(),
    }
}

pub(super) fn event(message: Message) -> ServerFrame {
    ServerFrame::Event {
        room: message.room,
        seq: message.seq,
        event: RoomEvent::Message { message },
    }
}

pub(super) fn sent(n: u128, room: RoomId, seq: Seq) -> ServerFrame {
    let id = id(n);
    ServerFrame::Sent {
        id,
        room,
        seq,
        at: 0,
    }
}

pub(super) fn refused(n: u128, code: ErrorCode, retry_after_ms: Option<u32>) -> ServerFrame {
    ServerFrame::Refused(Refusal {
        id: Some(id(n)),
        retry_after_ms,
        ..Refusal::new(code, "Refused.")
    })
}

pub(super) fn resumed(room: RoomId, recovered: bool) -> ServerFrame {
    ServerFrame::Resumed {
        room,
        recovered,
        epoch: Epoch("a".into()),
        head: 0,
    }
}

pub(super) fn read(room: RoomId, seq: Seq, unread: i64) -> ServerFrame {
    ServerFrame::Read {
        room,
        seq,
        unread,
        head: None,
    }
}

pub(super) fn send(n: u128, room: RoomId) -> ClientFrame {
    ClientFrame::Send {
        id: id(n),
        room,
        text: text(n),
    }
}

pub(super) fn resume(room: RoomId, seq: Seq) -> ClientFrame {
    let epoch = Epoch("a".into());
    let cursor = Cursor { epoch, seq };
    ClientFrame::Resume {
        cursor: RoomCursor { room, cursor },
    }
}
