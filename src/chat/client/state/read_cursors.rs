//! Read cursors: sent at once, then at most once a second per room, and on `welcome` if the server lacks them.

use crate::model::{RoomId, Seq};
use std::collections::BTreeMap;

pub(super) const READ_CURSOR_INTERVAL_MS: u32 = 1_000;
/// Unless the server says when.
pub(super) const READ_CURSOR_RETRY_MS: u32 = 5_000;

#[derive(Debug, Default)]
pub(super) struct ReadCursors {
    /// The cursor to send at the end of a room's interval.
    intervals: BTreeMap<RoomId, Option<Seq>>,
    /// Sent or to be sent.
    unconfirmed: BTreeMap<RoomId, Seq>,
}

impl ReadCursors {
    /// Returns whether the cursor is due now, which starts the room's interval.
    pub(super) fn mark(&mut self, room: RoomId, seq: Seq) -> bool {
        self.unconfirmed.insert(room, seq);
        if let Some(deferred) = self.intervals.get_mut(&room) {
            *deferred = Some(seq);
            return false;
        }
        self.intervals.insert(room, None);
        true
    }

    pub(super) fn end_interval(&mut self, room: RoomId) -> Option<Seq> {
        let seq = self.intervals.remove(&room).flatten()?;
        self.intervals.insert(room, None);
        Some(seq)
    }

    /// `room` is `None` if the server did not say which. Returns the rooms whose cursor is sent again after an interval.
    pub(super) fn defer_refused(&mut self, room: Option<RoomId>) -> Vec<RoomId> {
        let refused = self.unconfirmed.iter();
        let refused = refused.filter(|(of, _)| room.is_none_or(|room| room == **of));
        let refused: Vec<_> = refused.map(|(room, seq)| (*room, *seq)).collect();
        for (room, seq) in &refused {
            self.intervals.insert(*room, Some(*seq));
        }
        refused.into_iter().map(|(room, _)| room).collect()
    }

    pub(super) fn confirm(&mut self, room: RoomId, seq: Seq) {
        if self.unconfirmed.get(&room).is_some_and(|sent| *sent <= seq) {
            self.unconfirmed.remove(&room);
        }
    }

    /// Ends all intervals, and returns the cursors that the server may lack.
    pub(super) fn take_unconfirmed(&mut self) -> BTreeMap<RoomId, Seq> {
        self.intervals.clear();
        std::mem::take(&mut self.unconfirmed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn of_the_cursors_within_an_interval_the_last_is_sent_at_its_end() {
        let (here, other) = (RoomId(Uuid::from_u128(1)), RoomId(Uuid::from_u128(2)));
        let mut cursors = ReadCursors::default();
        assert!(cursors.mark(here, 1), "the first is due at once");
        assert!(!cursors.mark(here, 2) && !cursors.mark(here, 3));
        assert!(cursors.mark(other, 1));
        assert_eq!(cursors.end_interval(here), Some(3));
        assert!(!cursors.mark(here, 4), "the next interval has started");
        assert_eq!(cursors.end_interval(here), Some(4));
        assert_eq!(cursors.end_interval(here), None);
        assert!(cursors.mark(here, 5));
    }

    #[test]
    fn a_cursor_is_unconfirmed_until_the_server_has_it_or_a_later_one() {
        let room = RoomId(Uuid::from_u128(1));
        let mut cursors = ReadCursors::default();
        cursors.mark(room, 2);
        cursors.mark(room, 4);
        cursors.confirm(room, 2);
        assert_eq!(cursors.take_unconfirmed(), BTreeMap::from([(room, 4)]));
        assert!(cursors.take_unconfirmed().is_empty());
        cursors.mark(room, 4);
        cursors.confirm(room, 5);
        assert!(cursors.take_unconfirmed().is_empty());
    }
}
