//! Sending of read cursors: at once, then at most once a second per room.

use crate::{
    model::{RoomId, Seq},
    protocol::ws::ClientFrame,
    ui::{browser, socket::Socket},
};
use leptos::prelude::*;
use std::collections::HashMap;

/// In milliseconds.
const READ_CURSOR_INTERVAL: i32 = 1_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct ReadCursorSender(StoredValue<DeferredCursors>);

#[derive(Debug, Default)]
struct DeferredCursors {
    /// The rooms within their interval, with the cursor to send at its end.
    intervals: HashMap<RoomId, Option<Seq>>,
    /// There was no connection at the end of their interval.
    unsent: HashMap<RoomId, Seq>,
}

impl DeferredCursors {
    /// Returns false if the room is not within its interval: the cursor is due now.
    fn defer(&mut self, room: RoomId, seq: Seq) -> bool {
        let deferred = self.intervals.get_mut(&room);
        deferred.map(|deferred| *deferred = Some(seq)).is_some()
    }

    fn start_interval(&mut self, room: RoomId) {
        self.unsent.remove(&room);
        self.intervals.insert(room, None);
    }

    fn end_interval(&mut self, room: RoomId) -> Option<Seq> {
        self.intervals.remove(&room).flatten()
    }
}

impl ReadCursorSender {
    pub(super) fn new() -> Self {
        Self(StoredValue::new(DeferredCursors::default()))
    }

    /// Sends now, or at the end of the room's interval. Returns false if due now without a connection.
    pub(super) fn send(self, socket: Socket, room: RoomId, seq: Seq) -> bool {
        if self.change(|cursors| cursors.defer(room, seq)) == Some(true) {
            return true;
        }
        if !socket.send(&ClientFrame::Read { room, seq }) {
            return false;
        }
        self.change(|cursors| cursors.start_interval(room));
        browser::run_after(READ_CURSOR_INTERVAL, move || {
            let next = self.change(|cursors| cursors.end_interval(room)).flatten();
            if let Some(seq) = next
                && !self.send(socket, room, seq)
            {
                self.change(|cursors| cursors.unsent.insert(room, seq));
            }
        });
        true
    }

    /// The cursors that were due without a connection, once.
    pub(super) fn take_unsent(self) -> HashMap<RoomId, Seq> {
        self.change(|cursors| std::mem::take(&mut cursors.unsent))
            .unwrap_or_default()
    }

    fn change<T>(self, change: impl FnOnce(&mut DeferredCursors) -> T) -> Option<T> {
        self.0.try_update_value(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn of_the_cursors_within_an_interval_the_last_is_sent_at_its_end() {
        let (here, other) = (RoomId(Uuid::from_u128(1)), RoomId(Uuid::from_u128(2)));
        let mut cursors = DeferredCursors::default();
        assert!(!cursors.defer(here, 1), "the first is due at once");
        cursors.start_interval(here);
        assert!(cursors.defer(here, 2) && cursors.defer(here, 3));
        assert!(!cursors.defer(other, 1));
        assert_eq!(cursors.end_interval(here), Some(3));
        assert_eq!(cursors.end_interval(here), None);
    }

    #[test]
    fn an_unsent_cursor_is_kept_once_and_only_until_a_later_one_is_sent() {
        let room = RoomId(Uuid::from_u128(1));
        Owner::new().with(|| {
            let sender = ReadCursorSender::new();
            let keep = || sender.change(|cursors| cursors.unsent.insert(room, 2));
            keep();
            assert_eq!(sender.take_unsent(), HashMap::from([(room, 2)]));
            assert!(sender.take_unsent().is_empty());
            keep();
            sender.change(|cursors| cursors.start_interval(room));
            assert!(sender.take_unsent().is_empty());
        });
    }
}
