//! Frames for this node's clients: every node sends its own clients what it reads in the event log.

use super::{ConnectionRegistry, EncodedFrame};
use crate::{
    model::{RoomId, UserId, room::RoomKind},
    protocol::ws::ServerFrame,
};

impl ConnectionRegistry {
    /// Subscribes all clients on this node to a room.
    pub fn subscribe_all(&self, room: RoomId, kind: RoomKind) {
        let mut state = self.lock();
        let users: Vec<_> = state.users.keys().copied().collect();
        for user in users {
            state.subscribe(user, room, kind);
        }
    }

    /// Users with a client on this node.
    #[must_use]
    pub fn local_users(&self) -> Vec<UserId> {
        let state = self.lock();
        let connected = state.users.iter().filter(|(_, user)| {
            let mut connections = user.connections.iter();
            connections.any(|connection| connection.remote_node().is_none())
        });
        connected.map(|(user, _)| *user).collect()
    }

    /// Sends to a user's clients on this node.
    pub fn send_to_local_user(&self, user: UserId, frame: &ServerFrame) {
        let encoded = EncodedFrame::from(frame);
        let state = self.lock();
        let user = state.users.get(&user).into_iter();
        for connection in user.flat_map(|user| &user.connections) {
            connection.push(&encoded);
        }
    }

    /// Sends to all clients with a session on this node.
    pub fn send_to_all_local(&self, frame: &ServerFrame) {
        self.lock().send_to_all(frame);
    }
}
