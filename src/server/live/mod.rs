//! Registry of live connections: clients, their room subscriptions and their presence.
//!
//! No lock is held across an await, and pushing never waits, so a slow subscriber cannot delay a publisher.

pub mod connection;
pub mod event;
pub mod flusher;
pub mod frame;
mod incarnation;
mod local;
pub mod news_subscribers;
mod nodes;
mod presence;
mod retained;
pub mod send_queue;
mod state;

pub use connection::{Connection, Disconnect, FrameSubject};
pub use event::EncodedEvent;
pub use flusher::Flusher;
pub use incarnation::Incarnation;
pub use news_subscribers::NewsSubscribers;
pub use retained::RetainedFrame;
pub use send_queue::{ConnectionEnd, EncodedFrame, SendQueue};

use crate::{
    model::{ClientId, RoomId, UserId, room::RoomKind, user::Person},
    protocol::{close::CloseCode, ws::ServerFrame},
    server::{
        bus::{Bus, ClientChange, RemoteCommand},
        sync::{Mutex, MutexGuard},
    },
};
use state::State;
use std::{sync::Arc, time::Duration};

/// Result of registering a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    Registered,
    /// The client has a connection of a higher incarnation.
    Superseded,
    /// Another user has the client id.
    IdTaken,
}

/// All live connections of the community, as one node sees them.
#[derive(Debug, Default)]
pub struct ConnectionRegistry {
    state: Mutex<State>,
    bus: Option<Bus>,
}

impl ConnectionRegistry {
    /// An empty registry; `bus` reaches the other nodes.
    #[must_use]
    pub fn with_bus(bus: Option<Bus>) -> Self {
        Self {
            state: Mutex::default(),
            bus,
        }
    }

    /// Adds a connection and closes the client's earlier one, unless that has a higher incarnation.
    pub fn register(&self, connection: &Arc<Connection>) -> Registration {
        let mut state = self.lock();
        if let Some(earlier) = state.connections.get(&connection.client).cloned() {
            if earlier.person.id != connection.person.id {
                return Registration::IdTaken;
            }
            if !connection.incarnation.replaces(earlier.incarnation) {
                return Registration::Superseded;
            }
            state.remove(&earlier);
            earlier.close(CloseCode::Replaced);
        }
        state.add(connection);
        Registration::Registered
    }

    /// Changes the person of a connection; none unless it is the client's registered one.
    pub fn update_person(
        &self,
        connection: &Arc<Connection>,
        person: Person,
    ) -> Option<Arc<Connection>> {
        let updated = Arc::new(connection.with_person(person));
        let is_updated = self.lock().substitute(connection, &updated);
        is_updated.then_some(updated)
    }

    /// Removes a connection; false unless it is the client's registered one.
    pub fn unregister(&self, connection: &Arc<Connection>, gone: Disconnect) -> bool {
        let mut state = self.lock();
        let current = state
            .connections
            .get(&connection.client)
            .is_some_and(|current| Arc::ptr_eq(current, connection));
        if current {
            state.remove(connection);
            if connection.remote_node().is_none() {
                let client = connection.client;
                self.publish_client_change(
                    &mut state,
                    ClientChange::Disconnected {
                        client,
                        disconnect: gone,
                    },
                );
            }
        }
        current
    }

    /// Closes every connection to this node.
    pub fn close_all(&self, why: CloseCode) {
        for connection in self.lock().connections.values() {
            connection.close(why);
        }
    }

    /// Closes this node's connections without input for longer than `timeout`.
    pub fn close_silent(&self, timeout: Duration) {
        for connection in self.lock().connections.values() {
            if connection.is_silent(timeout) {
                connection.close(CloseCode::HeartbeatTimeout);
            }
        }
    }

    /// Closes a session's connections on every node. `session` is the token's hash.
    pub fn close_session(&self, session: &str) {
        let session = session.to_owned();
        self.broadcast_command(RemoteCommand::CloseSession { session });
    }

    /// As [`Self::close_session`], for all of a user's sessions except `keep`.
    pub fn close_other_sessions(&self, user: UserId, keep: &str) {
        let keep = keep.to_owned();
        self.broadcast_command(RemoteCommand::CloseOtherSessions {
            user,
            kept_session: keep,
        });
    }

    /// Makes a user's clients reconnect, on every node.
    pub fn reconnect_user(&self, user: UserId) {
        self.broadcast_command(RemoteCommand::ReconnectUser { user });
    }

    /// Subscribes a user's clients on this node to a room.
    pub fn subscribe(&self, user: UserId, room: RoomId, kind: RoomKind) {
        let mut state = self.lock();
        state.subscribe(user, room, kind);
        if kind == RoomKind::Direct {
            state.presences.add_direct_room(user, room);
        }
    }

    /// Whether a connection is subscribed to a room.
    #[must_use]
    pub fn is_subscribed(&self, connection: &Connection, room: RoomId) -> bool {
        self.lock().is_subscribed(connection, room)
    }

    /// The kind of a room; none without a subscriber on this node.
    #[must_use]
    pub fn room_kind(&self, room: RoomId) -> Option<RoomKind> {
        self.lock().rooms.get(&room).map(|room| room.kind)
    }

    /// Sends to a room's subscribers on every node, except one user's.
    pub fn send_to_room(&self, room: RoomId, frame: ServerFrame, except: Option<UserId>) {
        let frame = Box::new(frame);
        self.broadcast_command(RemoteCommand::SendToRoom {
            room,
            frame,
            except,
        });
    }

    /// Sends an event to a room's subscribers on this node.
    pub fn publish(&self, room: RoomId, event: &EncodedEvent) {
        let encoded = event.into();
        for connection in self.lock().subscribers(room) {
            connection.push(&encoded);
        }
    }

    /// Sends to a user's clients, on every node.
    pub fn send_to_user(&self, user: UserId, frame: &ServerFrame) {
        let encoded = EncodedFrame::from(frame);
        let state = self.lock();
        let connections = state
            .users
            .get(&user)
            .map_or(&[][..], |user| &user.connections);
        let mut nodes = Vec::new();
        for connection in connections {
            connection.push(&encoded);
            nodes.extend(
                connection
                    .remote_node()
                    .filter(|node| !nodes.contains(node)),
            );
        }
        for node in nodes {
            let frame = Box::new(frame.clone());
            self.send_command(node, RemoteCommand::SendToUser { user, frame });
        }
    }

    /// Sends to one client, on any node. False if it is not connected.
    pub fn send_to_client(&self, client: ClientId, frame: &ServerFrame) -> bool {
        let connection = self.find_connection(client);
        connection
            .map(|connection| connection.send(frame))
            .is_some()
    }

    /// Sends to all clients with a session, on every node.
    pub fn send_to_all(&self, frame: ServerFrame) {
        let frame = Box::new(frame);
        self.broadcast_command(RemoteCommand::SendToAll { frame });
    }

    /// Connection of a client, to any node.
    #[must_use]
    pub fn find_connection(&self, connection: ClientId) -> Option<Arc<Connection>> {
        self.lock().connections.get(&connection).cloned()
    }

    /// Whether a connection is the client's registered one.
    #[must_use]
    pub fn is_current(&self, connection: &Arc<Connection>) -> bool {
        let current = self.find_connection(connection.client);
        current.is_some_and(|current| Arc::ptr_eq(&current, connection))
    }

    /// Connections to this node.
    #[must_use]
    pub fn local_connections(&self) -> Vec<Arc<Connection>> {
        let mut connections = self.connections();
        connections.retain(|connection| connection.remote_node().is_none());
        connections
    }

    /// Connections to all nodes.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.lock().connections.values().cloned().collect()
    }

    /// A user's clients, on all nodes.
    #[must_use]
    pub fn clients_of_user(&self, user: UserId) -> Vec<ClientId> {
        let state = self.lock();
        let connections = state.users.get(&user).into_iter();
        connections
            .flat_map(|user| user.connections.iter().map(|connection| connection.client))
            .collect()
    }

    /// User of a connected client.
    #[must_use]
    pub fn user_of_client(&self, client: ClientId) -> Option<UserId> {
        self.find_connection(client)
            .map(|connection| connection.person.id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests;
