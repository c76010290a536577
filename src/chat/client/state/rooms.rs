//! The current user's rooms and their unread counts.

use crate::model::{RoomId, Seq, limits::MAX_UNREAD_COUNT, message::Message, room::RoomSummary};
use std::collections::{BTreeSet, HashMap};

#[derive(Debug, Default)]
pub(super) struct RoomList {
    rooms: Vec<RoomSummary>,
    counts: HashMap<RoomId, UnreadCount>,
}

/// The server's count and the events arrive in any order.
#[derive(Debug)]
struct UnreadCount {
    /// The server's count includes messages up to here.
    counted_to: Seq,
    /// Messages of others, as many as can matter.
    received: BTreeSet<Seq>,
}

impl UnreadCount {
    fn new(counted_to: Seq) -> Self {
        Self {
            counted_to,
            received: BTreeSet::new(),
        }
    }

    /// Returns whether the message is new.
    fn add(&mut self, seq: Seq) -> bool {
        let is_new = self.received.insert(seq);
        let enough = usize::try_from(MAX_UNREAD_COUNT).unwrap_or(usize::MAX);
        while self.received.len() > enough {
            self.received.pop_first();
        }
        is_new
    }

    /// Adds what was received after `counted_to` to the server's count.
    fn set(&mut self, unread: i64, read_seq: Seq, counted_to: Seq) -> i64 {
        self.counted_to = counted_to;
        let later = self.received.range(read_seq.max(counted_to) + 1..);
        unread + i64::try_from(later.count()).unwrap_or(i64::MAX)
    }
}

impl RoomList {
    pub(super) fn as_slice(&self) -> &[RoomSummary] {
        &self.rooms
    }

    pub(super) fn find(&self, room: RoomId) -> Option<&RoomSummary> {
        self.rooms.iter().find(|known| known.id == room)
    }

    fn find_mut(&mut self, room: RoomId) -> Option<(&mut RoomSummary, &mut UnreadCount)> {
        let known = self.rooms.iter_mut().find(|known| known.id == room)?;
        let count = self.counts.entry(room);
        let count = count.or_insert_with(|| UnreadCount::new(known.head));
        Some((known, count))
    }

    pub(super) fn replace_all(&mut self, rooms: &[RoomSummary]) {
        rooms.clone_into(&mut self.rooms);
        self.counts.clear();
    }

    /// Returns whether a room was unknown.
    pub(super) fn add_unknown(&mut self, rooms: &[RoomSummary]) -> bool {
        let before = self.rooms.len();
        for room in rooms {
            if self.find(room.id).is_none() {
                self.rooms.push(room.clone());
            }
        }
        self.rooms.len() > before
    }

    /// Later events, and a later count, may have been received before the summary.
    pub(super) fn upsert(&mut self, room: &RoomSummary) {
        let known = self.find_mut(room.id);
        let Some((known, count)) = known.filter(|(known, _)| known.epoch == room.epoch) else {
            self.rooms.retain(|known| known.id != room.id);
            self.rooms.push(room.clone());
            self.counts.remove(&room.id);
            return;
        };
        let (head, read_seq, unread) = (known.head, known.read_seq, known.unread);
        known.clone_from(room);
        known.head = room.head.max(head);
        let is_earlier_count = room.head < count.counted_to;
        if room.read_seq < read_seq || room.read_seq == read_seq && is_earlier_count {
            (known.read_seq, known.unread) = (read_seq, unread);
        } else {
            known.unread = count.set(room.unread, room.read_seq, room.head);
        }
    }

    /// Counts a message once, and shows its room if it was hidden. Returns whether the room changed.
    pub(super) fn count_message(
        &mut self,
        room: RoomId,
        message: &Message,
        is_counted: bool,
    ) -> bool {
        let Some((known, count)) = self.find_mut(room) else {
            return false;
        };
        let is_unread = is_counted && message.content.counts_as_unread();
        // The server's last count may be earlier than the head.
        let is_uncounted = is_unread
            && count.add(message.seq)
            && message.seq > count.counted_to.max(known.read_seq);
        known.unread += i64::from(is_uncounted);
        let is_head = message.seq > known.head;
        if is_head {
            known.head = message.seq;
            known.is_hidden = false;
        }
        is_head || is_uncounted
    }

    /// `unread` counts up to `head`. A read cursor never moves back. Returns whether the room changed.
    pub(super) fn set_read(
        &mut self,
        room: RoomId,
        seq: Seq,
        unread: i64,
        head: Option<Seq>,
    ) -> bool {
        let Some((known, count)) = self.find_mut(room) else {
            return false;
        };
        let is_earlier_count = head.is_some_and(|head| head < count.counted_to);
        if seq < known.read_seq || seq == known.read_seq && is_earlier_count {
            return false;
        }
        known.read_seq = seq;
        known.unread = count.set(unread, seq, head.unwrap_or(known.head));
        true
    }

    pub(super) fn mark_read(&mut self, room: RoomId, seq: Seq) -> bool {
        let Some((known, count)) = self.find_mut(room) else {
            return false;
        };
        let is_unread = known.read_seq < seq || known.unread > 0;
        if is_unread {
            known.read_seq = known.read_seq.max(seq);
            known.unread = count.set(0, seq, count.counted_to);
        }
        is_unread
    }
}
