//! The current user's rooms and their unread counts.

use crate::model::{RoomId, Seq, message::Message, room::RoomSummary};

/// In list order.
#[derive(Debug, Default)]
pub(super) struct RoomList(Vec<RoomSummary>);

impl RoomList {
    pub(super) fn as_slice(&self) -> &[RoomSummary] {
        &self.0
    }

    pub(super) fn find(&self, room: RoomId) -> Option<&RoomSummary> {
        self.0.iter().find(|known| known.id == room)
    }

    fn find_mut(&mut self, room: RoomId) -> Option<&mut RoomSummary> {
        self.0.iter_mut().find(|known| known.id == room)
    }

    pub(super) fn replace_all(&mut self, rooms: &[RoomSummary]) {
        rooms.clone_into(&mut self.0);
    }

    /// Skips known rooms. Returns whether there was another.
    pub(super) fn add_unknown(&mut self, rooms: &[RoomSummary]) -> bool {
        let before = self.0.len();
        for room in rooms {
            if self.find(room.id).is_none() {
                self.0.push(room.clone());
            }
        }
        self.0.len() > before
    }

    pub(super) fn upsert(&mut self, room: &RoomSummary) {
        match self.find_mut(room.id) {
            Some(known) => known.clone_from(room),
            None => self.0.push(room.clone()),
        }
    }

    /// Counts a message once, however often it is received. Returns whether the room changed.
    pub(super) fn count_message(&mut self, room: RoomId, message: &Message, is_mine: bool) -> bool {
        let known = self.find_mut(room);
        let Some(known) = known.filter(|known| message.seq > known.head) else {
            return false;
        };
        known.head = message.seq;
        known.unread += i64::from(!is_mine && message.content.counts_as_unread());
        true
    }

    /// As the server counts. Returns whether the room is known.
    pub(super) fn set_read(&mut self, room: RoomId, seq: Seq, unread: i64) -> bool {
        let known = self.find_mut(room);
        let changed = known.map(|known| {
            known.read_seq = seq;
            known.unread = unread;
        });
        changed.is_some()
    }

    /// Returns whether anything was unread.
    pub(super) fn mark_read(&mut self, room: RoomId, seq: Seq) -> bool {
        let is_unread = self
            .find(room)
            .is_some_and(|known| known.read_seq < seq || known.unread > 0);
        is_unread && self.set_read(room, seq, 0)
    }
}
