//! Handling of the server's frames.

use super::{
    ChatState,
    effect::{Effect, Timer},
    read_cursors::READ_CURSOR_RETRY_MS,
    resend::{Backoff, HoldReason, Wait},
    timelines::ResumeBackoff,
    typing::TYPING_TTL_MS,
};
use crate::{
    model::{
        MessageId, Millis, RoomId, Seq,
        limits::Limits,
        message::{Content, Message, RoomEvent},
        outbox::Delivery,
        room::RoomSummary,
        timeline::MergeOutcome,
        user::Person,
    },
    protocol::ws::{ErrorCode, Refusal, ServerFrame},
};

/// The longest wait for a rate limit to allow several messages.
const MAX_BATCH_MS: u32 = 1_000;

impl ChatState {
    /// Handles a server frame. `random` is in `0.0..1.0`.
    pub fn on_frame(&mut self, frame: &ServerFrame, random: f64) -> Vec<Effect> {
        match frame {
            ServerFrame::Welcome {
                user,
                rooms,
                limits,
                settings,
                ..
            } => {
                self.settings.clone_from(settings);
                self.on_welcome(user, rooms, *limits);
            }
            ServerFrame::Settings { settings } => {
                self.settings.clone_from(settings);
                self.effects.push(Effect::TypingChanged);
            }
            ServerFrame::Resumed {
                room, recovered, ..
            } => self.on_resumed(*room, *recovered),
            ServerFrame::Event {
                room,
                event: RoomEvent::Message { message },
                ..
            } => self.on_message(*room, message),
            ServerFrame::Sent { id, room, seq, at } => self.on_sent(*id, *room, *seq, *at),
            ServerFrame::Refused(refusal) => {
                if let Some(id) = refusal.id {
                    self.on_refused(id, refusal, random);
                }
            }
            ServerFrame::Error(refusal) => self.on_error(refusal, random),
            ServerFrame::Room { room } => {
                self.rooms.upsert(room);
                self.effects.push(Effect::RoomChanged(room.id));
            }
            ServerFrame::Read {
                room,
                seq,
                unread,
                head,
            } => {
                self.read_cursors.confirm(*room, *seq);
                if self.rooms.set_read(*room, *seq, *unread, *head) {
                    self.effects.push(Effect::RoomChanged(*room));
                }
            }
            ServerFrame::Typing { room, person } => self.on_typing(*room, person),
            ServerFrame::UploadReady { .. }
            | ServerFrame::UploadProgress { .. }
            | ServerFrame::People { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::Crowd { .. }
            | ServerFrame::Call { .. }
            | ServerFrame::Signal { .. }
            | ServerFrame::GroupCall { .. } => {}
        }
        self.take_effects()
    }

    fn on_welcome(&mut self, user: &Person, rooms: &[RoomSummary], limits: Limits) {
        if self.viewer.is_some_and(|viewer| viewer != user.id) {
            // The outbox stays in session storage under its author's id.
            self.effects.push(Effect::ReloadPage);
            return;
        }
        // The name may have changed.
        self.current_user = Some(user.clone());
        self.limits = Some(limits);
        self.is_welcomed = true;
        self.rooms.replace_all(rooms);
        self.effects.push(Effect::RoomsChanged);
        self.resend_read_cursors();
        self.resume_opened();
        self.resend.on_welcome();
        self.send_entries(|_| true);
        self.effects.push(Effect::ResumeUploads);
    }

    fn resend_read_cursors(&mut self) {
        for (room, seq) in self.read_cursors.take_unconfirmed() {
            // A restored store may be behind.
            let is_valid = self.rooms.find(room).is_some_and(|room| seq <= room.head);
            if is_valid && self.rooms.mark_read(room, seq) {
                self.submit_read_cursor(room, seq);
            }
        }
    }

    fn on_resumed(&mut self, room: RoomId, is_recovered: bool) {
        self.timelines.on_resumed(room, is_recovered);
        if !is_recovered {
            self.effects.push(Effect::RefetchRoom(room));
        }
    }

    fn on_message(&mut self, room: RoomId, message: &Message) {
        if self.merge(room, message) == Some(MergeOutcome::Gap) {
            let cursor = self.timelines.request_after_gap(room);
            self.resume(cursor);
        }
        self.acknowledge(message.id);
        let author = message.author.id;
        let me = self.current_user.as_ref();
        let is_mine = me.is_some_and(|me| me.id == author);
        let is_counted = !is_mine && !self.settings.has_blocked(author);
        if self.rooms.count_message(room, message, is_counted) {
            self.effects.push(Effect::RoomChanged(room));
        }
        if self.typists.remove(room, message.author.id) {
            self.effects.push(Effect::TypingChanged);
        }
    }

    /// After a gap, the message stays in the outbox until its event arrives.
    fn on_sent(&mut self, id: MessageId, room: RoomId, seq: Seq, at: Millis) {
        let sent = self.outbox.find(id);
        if let (Some(sent), Some(author)) = (sent, &self.current_user) {
            let message = Message {
                id,
                room,
                seq,
                author: author.clone(),
                at,
                content: Content::Text {
                    text: sent.text.clone(),
                },
            };
            if self.merge(room, &message) != Some(MergeOutcome::Gap) {
                self.acknowledge(id);
            }
        }
        let released = self.resend.on_accepted(id);
        self.send_entries(|entry| released.contains(&entry.room));
    }

    fn merge(&mut self, room: RoomId, message: &Message) -> Option<MergeOutcome> {
        let merged = self.timelines.merge(room, message);
        if merged == Some(MergeOutcome::Added) {
            self.effects.push(Effect::TimelineChanged(room));
        }
        merged
    }

    fn on_refused(&mut self, id: MessageId, refusal: &Refusal, random: f64) {
        let Some(entry) = self.outbox.find(id) else {
            return;
        };
        let (room, is_delayed) = (entry.room, entry.delivery == Delivery::Delayed);
        if !self.resend.record_refusal(id) {
            return;
        }
        match refusal.code {
            ErrorCode::Unavailable => {
                if !is_delayed {
                    self.outbox.mark_delayed(id);
                    self.effects.push(Effect::OutboxChanged);
                }
                self.hold(room, HoldReason::Unavailable, refusal, random);
            }
            // The wait is short: the message stays pending.
            ErrorCode::RateLimited => self.hold(room, HoldReason::RateLimited, refusal, random),
            ErrorCode::Malformed
            | ErrorCode::ServerOnly
            | ErrorCode::TooLarge
            | ErrorCode::DuplicateHello
            | ErrorCode::NoSuchRoom
            | ErrorCode::NoSuchUser
            | ErrorCode::NoSuchCall
            | ErrorCode::WrongState
            | ErrorCode::AlreadyInCall
            | ErrorCode::NotAllowed
            | ErrorCode::Invalid => {
                self.outbox.mark_failed(id, &refusal.reason);
                self.effects.push(Effect::OutboxChanged);
            }
        }
    }

    fn hold(&mut self, room: RoomId, reason: HoldReason, refusal: &Refusal, random: f64) {
        let wait = Wait {
            reason,
            retry_after_ms: refusal.retry_after_ms,
            batch_ms: self.batch_ms(room),
        };
        if let Some(Backoff { number, delay_ms }) = self.resend.hold(room, wait, random) {
            let timer = Timer::Resend { room, number };
            self.effects.push(Effect::StartTimer { timer, delay_ms });
        }
    }

    /// All of a room's messages are sent each time: a wait for the first alone would send the others in vain.
    fn batch_ms(&self, room: RoomId) -> u32 {
        let limits = self.limits.unwrap_or_default();
        let waiting = self.outbox.to_send().filter(|entry| entry.room == room);
        let waiting = u32::try_from(waiting.count()).unwrap_or(u32::MAX);
        let following = waiting.min(limits.send_burst).saturating_sub(1);
        following
            .saturating_mul(limits.send_refill_ms)
            .min(MAX_BATCH_MS)
    }

    /// Retries resumes and read cursors that were refused for now.
    fn on_error(&mut self, refusal: &Refusal, random: f64) {
        let is_temporary = matches!(
            refusal.code,
            ErrorCode::Unavailable | ErrorCode::RateLimited
        );
        if !is_temporary || refusal.call.is_some() || refusal.id.is_some() {
            return;
        }
        let retry_after_ms = refusal.retry_after_ms;
        for room in self.read_cursors.defer_refused(refusal.room) {
            let timer = Timer::ReadCursor(room);
            let delay_ms = retry_after_ms.unwrap_or(READ_CURSOR_RETRY_MS);
            self.effects.push(Effect::StartTimer { timer, delay_ms });
        }
        let started = self
            .timelines
            .back_off(refusal.room, retry_after_ms, random);
        for ResumeBackoff {
            room,
            number,
            delay_ms,
        } in started
        {
            let timer = Timer::Resume { room, number };
            self.effects.push(Effect::StartTimer { timer, delay_ms });
        }
    }

    fn on_typing(&mut self, room: RoomId, person: &Person) {
        let number = self.typists.add(room, person);
        self.effects.push(Effect::TypingChanged);
        self.effects.push(Effect::StartTimer {
            timer: Timer::Typing { number },
            delay_ms: TYPING_TTL_MS,
        });
    }
}
