//! Frames that rooms retain for later subscribers, like MQTT's retained messages.

use super::{Connection, ConnectionRegistry, EncodedFrame, state::State};
use crate::{
    model::{Millis, RoomId},
    protocol::ws::ServerFrame,
    server::bus::RemoteCommand,
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The one frame that a room retains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetainedFrame {
    pub subject: Uuid,
    /// In milliseconds since 1970; grows with each frame.
    pub version: Millis,
    /// The sender's term as the call leader; 0 for a single node or an earlier build.
    #[serde(default)]
    pub term: i64,
    pub frame: ServerFrame,
    /// Sent if the subject ended and its last frame was lost.
    pub end_frame: ServerFrame,
}

/// Frames may come late: from a former leader, or after an outage of the bus.
#[derive(Debug, Default)]
pub(super) struct RetainedFrames {
    by_room: IndexMap<RoomId, RetainedFrame>,
    /// The last ended subject of each room, which no frame brings back.
    ended: HashMap<RoomId, Uuid>,
    /// The highest that this node knows.
    term: i64,
    /// Number of this node's last command; term and number of other nodes' latest.
    sent: u64,
    received: (i64, u64),
}

impl RetainedFrame {
    fn is_later_than(&self, known: &Self) -> bool {
        if are_known_terms(self.term, known.term) && self.term != known.term {
            return self.term > known.term;
        }
        self.subject != known.subject || self.version > known.version
    }
}

fn are_known_terms(one: i64, other: i64) -> bool {
    one != 0 && other != 0
}

impl RetainedFrames {
    /// Records another node's command; false if a later one has overtaken it.
    pub(super) fn is_latest(&mut self, term: i64, number: u64) -> bool {
        let is_overtaken = number != 0 && (term, number) < self.received;
        if !is_overtaken {
            self.received = (term, number);
        }
        !is_overtaken
    }

    fn next_number(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// False for a frame of a former leader, which may be about a subject that has ended since.
    fn retain(&mut self, room: RoomId, retained: &RetainedFrame) -> bool {
        self.enter_term(retained.term) && self.replace(room, retained)
    }

    /// False if a later term is known.
    fn enter_term(&mut self, term: i64) -> bool {
        let is_current = !self.is_former_term(term);
        self.term = self.term.max(term);
        is_current
    }

    fn is_former_term(&self, term: i64) -> bool {
        are_known_terms(term, self.term) && term < self.term
    }

    fn replace(&mut self, room: RoomId, retained: &RetainedFrame) -> bool {
        let has_ended = self.ended.get(&room) == Some(&retained.subject);
        let known = self.by_room.get(&room);
        if has_ended || known.is_some_and(|known| !retained.is_later_than(known)) {
            return false;
        }
        self.by_room.insert(room, retained.clone());
        true
    }

    fn clear(&mut self, room: RoomId, subject: Uuid) {
        let known = self.by_room.get(&room);
        if known.is_some_and(|known| known.subject == subject) {
            self.by_room.swap_remove(&room);
        }
        self.ended.insert(room, subject);
    }

    /// Returns the frames to send: later ones, and end frames of missing subjects; none for a former leader's list.
    fn sync(
        &mut self,
        term: i64,
        frames: &[(RoomId, RetainedFrame)],
    ) -> Vec<(RoomId, ServerFrame)> {
        if !self.enter_term(term) {
            return Vec::new();
        }
        let current: HashMap<_, _> = frames
            .iter()
            .map(|(room, retained)| (*room, retained.subject))
            .collect();
        let mut changes = Vec::new();
        self.by_room.retain(|room, known| {
            let is_open = current
                .get(room)
                .is_some_and(|subject| *subject == known.subject);
            if !is_open {
                changes.push((*room, known.end_frame.clone()));
            }
            is_open
        });
        for (room, retained) in frames {
            // The leader may list a frame that it retained before its term.
            if self.replace(*room, retained) {
                changes.push((*room, retained.frame.clone()));
            }
        }
        changes
    }

    fn of_subjects(&self, subjects: &HashSet<Uuid>) -> Vec<(RoomId, RetainedFrame)> {
        let known = self.by_room.iter();
        let current = known.filter(|(_, retained)| subjects.contains(&retained.subject));
        current
            .map(|(room, retained)| (*room, retained.clone()))
            .collect()
    }
}

impl ConnectionRegistry {
    /// Sends a frame to current and future subscribers, on every node, unless a later one is retained.
    pub fn retain_frame(&self, room: RoomId, retained: RetainedFrame) {
        // The lock keeps commands in the order of changes, here and below.
        let mut state = self.lock();
        state.retain_frame(room, &retained);
        let number = state.retained.next_number();
        let retained = Box::new(retained);
        self.send_to_nodes(RemoteCommand::RetainFrame {
            room,
            retained,
            number,
        });
    }

    /// Sends a subject's last frame, and stops retaining.
    pub fn clear_retained_frame(&self, room: RoomId, subject: Uuid, frame: ServerFrame) {
        let mut state = self.lock();
        state.clear_retained_frame(room, subject, &frame);
        let frame = Box::new(frame);
        self.send_to_nodes(RemoteCommand::ClearFrame {
            room,
            subject,
            frame,
        });
    }

    /// Sends the retained frames of a connection's rooms, before newer ones (under the lock).
    pub fn send_retained_frames(&self, connection: &Connection) {
        let state = self.lock();
        for (room, retained) in &state.retained.by_room {
            if state.is_subscribed(connection, *room) {
                connection.send(&retained.frame);
            }
        }
    }

    /// Version of a room's retained frame.
    #[must_use]
    pub fn retained_version(&self, room: RoomId) -> Option<Millis> {
        Some(self.lock().retained.by_room.get(&room)?.version)
    }

    /// Makes every node retain exactly this node's frames of these subjects, unless it knows a later term.
    pub fn sync_retained_frames(&self, term: i64, subjects: &HashSet<Uuid>) {
        let mut state = self.lock();
        let frames = state.retained.of_subjects(subjects);
        state.sync_retained_frames(term, &frames);
        let number = state.retained.next_number();
        self.send_to_nodes(RemoteCommand::SyncRetainedFrames {
            frames,
            term,
            number,
        });
    }
}

impl State {
    pub(super) fn retain_frame(&mut self, room: RoomId, retained: &RetainedFrame) {
        if self.retained.retain(room, retained) {
            self.send_to_subscribers(room, &retained.frame);
        }
    }

    pub(super) fn clear_retained_frame(
        &mut self,
        room: RoomId,
        subject: Uuid,
        frame: &ServerFrame,
    ) {
        self.retained.clear(room, subject);
        self.send_to_subscribers(room, frame);
    }

    pub(super) fn sync_retained_frames(&mut self, term: i64, frames: &[(RoomId, RetainedFrame)]) {
        for (room, frame) in self.retained.sync(term, frames) {
            self.send_to_subscribers(room, &frame);
        }
    }

    fn send_to_subscribers(&self, room: RoomId, frame: &ServerFrame) {
        let frame = EncodedFrame::from(frame);
        for connection in self.subscribers(room) {
            connection.push(&frame);
        }
    }

    pub(super) fn is_subscribed(&self, connection: &Connection, room: RoomId) -> bool {
        let room = self.rooms.get(&room);
        room.is_some_and(|room| room.connections.contains_key(&connection.client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId = RoomId(Uuid::from_u128(7));

    fn frame(subject: u128, term: i64, version: Millis) -> RetainedFrame {
        let n = u32::try_from(version).unwrap();
        RetainedFrame {
            subject: Uuid::from_u128(subject),
            version,
            term,
            frame: ServerFrame::Pong { n },
            end_frame: ServerFrame::Pong { n: 0 },
        }
    }

    fn version(retained: &RetainedFrames) -> Option<Millis> {
        Some(retained.by_room.get(&ROOM)?.version)
    }

    #[test]
    fn a_frame_replaces_no_later_one_of_its_subject() {
        let mut retained = RetainedFrames::default();
        assert!(retained.retain(ROOM, &frame(1, 0, 5)));
        assert!(!retained.retain(ROOM, &frame(1, 0, 4)));
        assert!(!retained.retain(ROOM, &frame(1, 0, 5)), "the same again");
        assert!(retained.retain(ROOM, &frame(1, 0, 6)));
        assert!(retained.retain(ROOM, &frame(2, 0, 1)), "another call");
    }

    #[test]
    fn a_later_term_counts_more_than_a_later_clock() {
        let mut retained = RetainedFrames::default();
        retained.retain(ROOM, &frame(1, 2, 5));
        assert!(!retained.retain(ROOM, &frame(1, 1, 9)));
        assert!(!retained.retain(ROOM, &frame(2, 1, 9)));
        assert!(retained.retain(ROOM, &frame(1, 3, 4)));
        assert!(
            retained.retain(ROOM, &frame(1, 0, 6)),
            "an earlier build has no terms"
        );
    }

    #[test]
    fn a_late_frame_does_not_bring_back_a_subject_that_has_ended() {
        let mut retained = RetainedFrames::default();
        retained.retain(ROOM, &frame(1, 0, 5));
        retained.clear(ROOM, Uuid::from_u128(1));
        assert!(!retained.retain(ROOM, &frame(1, 0, 6)));
        assert_eq!(retained.sync(0, &[(ROOM, frame(1, 0, 6))]), []);
        assert_eq!(version(&retained), None);
        assert!(retained.retain(ROOM, &frame(2, 0, 1)));
    }

    #[test]
    fn a_list_sends_what_was_missed_and_nothing_older() {
        let mut retained = RetainedFrames::default();
        retained.retain(ROOM, &frame(1, 1, 5));
        assert_eq!(retained.sync(1, &[(ROOM, frame(1, 1, 4))]), []);
        assert_eq!(version(&retained), Some(5));
        let missed = [(ROOM, ServerFrame::Pong { n: 6 })];
        assert_eq!(retained.sync(1, &[(ROOM, frame(1, 1, 6))]), missed);
        let ended = [(ROOM, ServerFrame::Pong { n: 0 })];
        assert_eq!(retained.sync(1, &[]), ended);
        assert_eq!(version(&retained), None);
    }

    #[test]
    fn a_list_of_a_former_leader_changes_nothing() {
        let mut retained = RetainedFrames::default();
        retained.sync(3, &[(ROOM, frame(1, 3, 5))]);
        assert_eq!(retained.sync(2, &[]), []);
        assert_eq!(retained.sync(2, &[(ROOM, frame(2, 2, 9))]), []);
        assert_eq!(version(&retained), Some(5));
    }

    #[test]
    fn a_late_frame_of_a_former_leader_does_not_bring_back_what_its_successor_does_not_list() {
        let mut retained = RetainedFrames::default();
        retained.retain(ROOM, &frame(1, 4, 5));
        let ended = [(ROOM, ServerFrame::Pong { n: 0 })];
        assert_eq!(retained.sync(5, &[]), ended);
        assert!(!retained.retain(ROOM, &frame(1, 4, 6)));
        let listed = [(ROOM, ServerFrame::Pong { n: 7 })];
        assert_eq!(retained.sync(5, &[(ROOM, frame(2, 4, 7))]), listed);
        assert!(retained.retain(ROOM, &frame(2, 5, 8)));
        assert!(
            retained.retain(ROOM, &frame(2, 0, 9)),
            "an earlier build has no terms"
        );
    }

    #[test]
    fn a_frame_of_a_new_leader_bars_those_of_its_predecessor_before_its_first_list() {
        let other_room = RoomId(Uuid::from_u128(8));
        let mut retained = RetainedFrames::default();
        assert!(retained.retain(other_room, &frame(2, 5, 6)));
        assert!(!retained.retain(ROOM, &frame(1, 4, 7)));
        assert_eq!(version(&retained), None);
    }

    #[test]
    fn a_command_that_a_later_one_has_overtaken_is_known() {
        let mut retained = RetainedFrames::default();
        assert!(retained.is_latest(1, 5) && retained.is_latest(1, 5));
        assert!(!retained.is_latest(1, 4));
        assert!(retained.is_latest(2, 1) && !retained.is_latest(1, 9));
        assert!(retained.is_latest(0, 0), "of an earlier build");
    }
}
