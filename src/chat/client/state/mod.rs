//! The rules of chat on a page, without browser access: frames, actions and timers in, [`Effect`]s out.
//!
//! `ChatClient` executes the effects in order.

mod effect;
mod frames;
mod read_cursors;
mod resend;
mod rooms;
#[cfg(test)]
mod tests;
mod timelines;
mod typing;

pub use effect::{Effect, Timer};

use crate::{
    model::{
        MessageId, Millis, RoomId, Seq, UserId,
        limits::Limits,
        message::{Message, MessageText},
        outbox::{Outbox, OutboxEntry},
        room::RoomSummary,
        timeline::Timeline,
        user::{Person, PersonalSettings},
    },
    protocol::ws::{ClientFrame, RoomCursor},
};
use read_cursors::{READ_CURSOR_INTERVAL_MS, ReadCursors};
use resend::{HoldReason, ResendState};
use rooms::RoomList;
use timelines::Timelines;
use typing::Typists;

/// The chat of a page.
#[derive(Debug, Default)]
pub struct ChatState {
    /// Whom the page was rendered for.
    viewer: Option<UserId>,
    /// Of the latest `welcome`.
    current_user: Option<Person>,
    limits: Option<Limits>,
    settings: PersonalSettings,
    /// False from `hello` to `welcome`: frames would be dropped; `on_welcome` sends what waits.
    is_welcomed: bool,
    rooms: RoomList,
    timelines: Timelines,
    outbox: Outbox,
    resend: ResendState,
    read_cursors: ReadCursors,
    typists: Typists,
    effects: Vec<Effect>,
}

impl ChatState {
    /// The rooms, in list order.
    #[must_use]
    pub fn rooms(&self) -> &[RoomSummary] {
        self.rooms.as_slice()
    }

    /// A room that the user is known to be a member of.
    #[must_use]
    pub fn room(&self, room: RoomId) -> Option<&RoomSummary> {
        self.rooms.find(room)
    }

    /// The timeline of a room that was opened lately.
    #[must_use]
    pub fn timeline(&self, room: RoomId) -> Option<&Timeline> {
        self.timelines.find(room)
    }

    /// The unacknowledged messages.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The people typing in a room, except those whom the user has blocked.
    pub fn typing(&self, room: RoomId) -> impl Iterator<Item = &Person> {
        let typing = self.typists.in_room(room);
        typing.filter(|person| !self.settings.has_blocked(person.id))
    }

    /// `None` before the first connection.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// Sets the viewer and their outbox from before a reload; once, before connecting.
    pub fn restore(&mut self, viewer: UserId, saved: Outbox) -> Vec<Effect> {
        self.viewer = Some(viewer);
        let written_since = std::mem::replace(&mut self.outbox, saved);
        for entry in written_since.to_send() {
            self.outbox
                .push(entry.id, entry.room, entry.text.clone(), entry.at);
        }
        self.effects.push(Effect::OutboxChanged);
        // The page may have been rendered after they were committed.
        for id in self.timelines.message_ids() {
            self.acknowledge(id);
        }
        self.take_effects()
    }

    /// Returns the cursors for a new connection's `hello`.
    pub fn on_open(&mut self) -> Vec<RoomCursor> {
        self.is_welcomed = false;
        self.timelines.request_all()
    }

    /// Handles a timer that an effect started.
    pub fn on_timer(&mut self, timer: Timer) -> Vec<Effect> {
        match timer {
            Timer::Resend { room, number } => {
                if self.resend.end_hold(room, number) {
                    self.send_entries(|entry| entry.room == room);
                }
            }
            Timer::Resume { room, number } => {
                let cursor = self.timelines.end_backoff(room, number);
                self.resume(cursor);
            }
            Timer::ReadCursor(room) => {
                if let Some(seq) = self.read_cursors.end_interval(room) {
                    self.send_read_cursor(room, seq);
                }
            }
            Timer::Typing { number } => {
                if self.typists.expire(number) {
                    self.effects.push(Effect::TypingChanged);
                }
            }
        }
        self.take_effects()
    }

    /// Sends a message through the outbox. `at` is by the browser's clock.
    pub fn send_message(
        &mut self,
        id: MessageId,
        room: RoomId,
        text: MessageText,
        at: Millis,
    ) -> Vec<Effect> {
        self.outbox.push(id, room, text, at);
        self.submit(id, room);
        self.take_effects()
    }

    /// Sends a refused message again.
    pub fn retry(&mut self, id: MessageId) -> Vec<Effect> {
        let room = self.outbox.find(id).map(|entry| entry.room);
        if let Some(room) = room
            && self.outbox.retry(id)
        {
            self.submit(id, room);
        }
        self.take_effects()
    }

    /// Removes an unacknowledged message. It may have been committed nevertheless.
    pub fn discard(&mut self, id: MessageId) -> Vec<Effect> {
        if self.outbox.discard(id) {
            self.resend.forget(id);
            self.effects.push(Effect::OutboxChanged);
        }
        self.take_effects()
    }

    /// Marks a room as read up to and including `seq`.
    pub fn mark_read(&mut self, room: RoomId, seq: Seq) -> Vec<Effect> {
        if self.rooms.mark_read(room, seq) {
            self.effects.push(Effect::RoomChanged(room));
            self.submit_read_cursor(room, seq);
        }
        self.take_effects()
    }

    /// Adds rooms from a rendered list, except known ones, which are newer.
    pub fn add_unknown_rooms(&mut self, rooms: &[RoomSummary]) -> Vec<Effect> {
        if self.rooms.add_unknown(rooms) {
            self.effects.push(Effect::RoomsChanged);
        }
        self.take_effects()
    }

    /// Opens a room's timeline with its newest page. `messages` are oldest first.
    pub fn open_page(
        &mut self,
        room: &RoomSummary,
        messages: Vec<Message>,
        has_older: bool,
    ) -> Vec<Effect> {
        for message in &messages {
            self.acknowledge(message.id);
        }
        // During hydration, rooms stay as rendered; the welcome brings their summaries.
        if self.is_welcomed && self.rooms.find(room.id).is_some() {
            // The replay leaves out the events that the page contains.
            self.rooms.upsert(room);
            self.effects.push(Effect::RoomChanged(room.id));
        }
        let fetched = Timeline::new(room.epoch.clone(), room.head, messages, has_older);
        if self.timelines.open(room.id, fetched) {
            self.effects.push(Effect::TimelineChanged(room.id));
        }
        if self.is_welcomed {
            self.resume_opened();
        }
        self.take_effects()
    }

    /// Adds an older page above a timeline. `messages` are oldest first.
    pub fn prepend_page(
        &mut self,
        room: RoomId,
        messages: Vec<Message>,
        has_older: bool,
    ) -> Vec<Effect> {
        if self.timelines.prepend(room, messages, has_older) {
            self.effects.push(Effect::TimelineChanged(room));
        }
        self.take_effects()
    }

    /// Sends now, or when the room is no longer held.
    fn submit(&mut self, id: MessageId, room: RoomId) {
        let held = self.resend.hold_reason(room);
        if held == Some(HoldReason::Unavailable) {
            self.outbox.mark_delayed(id);
        }
        self.effects.push(Effect::OutboxChanged);
        if held.is_none() {
            self.send_entries(|entry| entry.id == id);
        }
    }

    /// Sends the due entries, oldest first.
    fn send_entries(&mut self, is_due: impl Fn(&OutboxEntry) -> bool) {
        if !self.is_welcomed {
            return;
        }
        for entry in self.outbox.to_send().filter(|entry| is_due(entry)) {
            self.resend.record_send(entry.id);
            self.effects.push(Effect::Send(ClientFrame::Send {
                id: entry.id,
                room: entry.room,
                text: entry.text.clone(),
            }));
        }
    }

    fn acknowledge(&mut self, id: MessageId) {
        if self.outbox.acknowledge(id) {
            self.resend.forget(id);
            self.effects.push(Effect::OutboxChanged);
        }
    }

    fn resume_opened(&mut self) {
        for cursor in self.timelines.request_needed() {
            self.resume(Some(cursor));
        }
    }

    fn resume(&mut self, cursor: Option<RoomCursor>) {
        let frame = cursor.map(|cursor| ClientFrame::Resume { cursor });
        self.effects.extend(frame.map(Effect::Send));
    }

    /// Sends now, or at the end of the room's interval.
    fn submit_read_cursor(&mut self, room: RoomId, seq: Seq) {
        if self.read_cursors.mark(room, seq) {
            self.send_read_cursor(room, seq);
        }
    }

    fn send_read_cursor(&mut self, room: RoomId, seq: Seq) {
        self.effects
            .push(Effect::Send(ClientFrame::Read { room, seq }));
        self.effects.push(Effect::StartTimer {
            timer: Timer::ReadCursor(room),
            delay_ms: READ_CURSOR_INTERVAL_MS,
        });
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}
