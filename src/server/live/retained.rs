//! Frames that rooms retain for later subscribers, like MQTT's retained messages.

use super::{Connection, ConnectionRegistry, EncodedFrame, state::State};
use crate::{
    model::{Millis, RoomId},
    protocol::ws::ServerFrame,
    server::bus::RemoteCommand,
};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The one frame that a room retains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetainedFrame {
    pub subject: Uuid,
    /// In milliseconds since 1970; grows with each frame.
    pub version: Millis,
    pub frame: ServerFrame,
    /// Sent if the subject ended and its last frame was lost.
    pub end_frame: ServerFrame,
}

impl ConnectionRegistry {
    /// Sends a frame to current and future subscribers, on every node, until it is replaced or cleared.
    pub fn retain_frame(&self, room: RoomId, retained: RetainedFrame) {
        let retained = Box::new(retained);
        self.broadcast_command(RemoteCommand::RetainFrame { room, retained });
    }

    /// Sends a subject's last frame, and stops retaining.
    pub fn clear_retained_frame(&self, room: RoomId, subject: Uuid, frame: ServerFrame) {
        let frame = Box::new(frame);
        self.broadcast_command(RemoteCommand::ClearFrame {
            room,
            subject,
            frame,
        });
    }

    /// Sends the retained frames of a connection's rooms, before any newer one (the lock is held).
    pub fn send_retained_frames(&self, connection: &Connection) {
        let state = self.lock();
        for (room, retained) in &state.retained {
            if state.is_subscribed(connection, *room) {
                connection.send(&retained.frame);
            }
        }
    }

    /// Version of a room's retained frame.
    #[must_use]
    pub fn retained_version(&self, room: RoomId) -> Option<Millis> {
        Some(self.lock().retained.get(&room)?.version)
    }

    /// Makes every node retain exactly this node's frames of these subjects.
    pub fn sync_retained_frames(&self, subjects: &HashSet<Uuid>) {
        let frames = {
            let state = self.lock();
            let known = state.retained.iter();
            let current = known.filter(|(_, retained)| subjects.contains(&retained.subject));
            current
                .map(|(room, retained)| (*room, retained.clone()))
                .collect()
        };
        self.broadcast_command(RemoteCommand::SyncRetainedFrames { frames });
    }
}

impl State {
    pub(super) fn retain_frame(&mut self, room: RoomId, retained: &RetainedFrame) {
        self.send_to_subscribers(room, &retained.frame);
        self.retained.insert(room, retained.clone());
    }

    pub(super) fn clear_retained_frame(
        &mut self,
        room: RoomId,
        subject: Uuid,
        frame: &ServerFrame,
    ) {
        let known = self.retained.get(&room);
        if known.is_some_and(|known| known.subject == subject) {
            self.retained.remove(&room);
        }
        self.send_to_subscribers(room, frame);
    }

    pub(super) fn replace_retained_frames(&mut self, frames: &[(RoomId, RetainedFrame)]) {
        let now: HashMap<RoomId, RetainedFrame> = frames.iter().cloned().collect();
        let before = std::mem::replace(&mut self.retained, now);
        for (room, retained) in &self.retained {
            if before.get(room) != Some(retained) {
                self.send_to_subscribers(*room, &retained.frame);
            }
        }
        for (room, retained) in before {
            if !self.retained.contains_key(&room) {
                self.send_to_subscribers(room, &retained.end_frame);
            }
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
