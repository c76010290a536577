//! Clients of other nodes, and commands between nodes. Every node knows every client; the client's own node writes to
//! it.

use super::{Connection, ConnectionRegistry, State};
use crate::{
    model::{ClientId, UserId},
    protocol::close::CloseCode,
    server::{
        bus::{ClientChange, ConnectedClient, ListPart, Message, NodeId, RemoteCommand},
        live::EncodedFrame,
    },
};
use std::{collections::HashSet, sync::Arc};

/// A client takes about 150 bytes, and NATS accepts 1 MB.
const MAX_CLIENTS_PER_MESSAGE: usize = 2_000;

impl ConnectionRegistry {
    /// Applies a command from any node to this node's clients.
    pub fn apply(&self, command: &RemoteCommand) {
        match command {
            RemoteCommand::SendToRoom {
                room,
                frame,
                except,
            } => {
                let encoded = EncodedFrame::from(&**frame);
                let state = self.lock();
                let connections = state.subscribers(*room);
                for connection in
                    connections.filter(|connection| Some(connection.person.id) != *except)
                {
                    connection.push(&encoded);
                }
            }
            RemoteCommand::SendToUser { user, frame } => {
                let encoded = EncodedFrame::from(&**frame);
                self.for_each_connection(*user, |connection| connection.push(&encoded));
            }
            RemoteCommand::SendToClient { client, frame } => {
                let encoded = EncodedFrame::from(&**frame);
                if let Some(connection) = self.find_connection(*client) {
                    connection.push(&encoded);
                }
            }
            RemoteCommand::RetainFrame {
                room,
                retained,
                number,
            } => {
                let mut state = self.lock();
                state.retained.is_latest(retained.term, *number);
                state.retain_frame(*room, retained);
            }
            RemoteCommand::ClearFrame {
                room,
                subject,
                frame,
            } => self.lock().clear_retained_frame(*room, *subject, frame),
            RemoteCommand::SyncRetainedFrames {
                frames,
                term,
                number,
            } => {
                let mut state = self.lock();
                if state.retained.is_latest(*term, *number) {
                    state.sync_retained_frames(*term, frames);
                }
            }
            RemoteCommand::SendToAll { frame } => self.lock().send_to_all(frame),
            RemoteCommand::SubscribeUser { user, room, kind } => {
                self.subscribe(*user, *room, *kind);
            }
            RemoteCommand::SubscribeAll { room, kind } => self.subscribe_all(*room, *kind),
            RemoteCommand::CloseSession { session } => {
                let state = self.lock();
                let connections = state.connections.values();
                for connection in connections.filter(|connection| connection.is_of(session)) {
                    connection.close(CloseCode::SignedOut);
                }
            }
            RemoteCommand::CloseOtherSessions {
                user,
                kept_session: keep,
            } => self.for_each_connection(*user, |connection| {
                if !connection.is_of(keep) {
                    connection.close(CloseCode::SignedOut);
                }
            }),
            RemoteCommand::ReconnectUser { user } => {
                self.for_each_connection(*user, |connection| {
                    connection.close(CloseCode::GoingAway);
                });
            }
        }
    }

    pub(super) fn broadcast_command(&self, command: RemoteCommand) {
        self.apply(&command);
        self.send_to_nodes(command);
    }

    pub(super) fn send_to_nodes(&self, command: RemoteCommand) {
        if let Some(bus) = &self.bus {
            bus.broadcast(Message::Command { command });
        }
    }

    pub(super) fn send_command(&self, node: NodeId, command: RemoteCommand) {
        if let Some(bus) = &self.bus {
            bus.send_to(node, Message::Command { command });
        }
    }

    fn for_each_connection(&self, user: UserId, act: impl Fn(&Connection)) {
        let state = self.lock();
        let user = state.users.get(&user).into_iter();
        for connection in user.flat_map(|user| &user.connections) {
            act(connection);
        }
    }

    /// Announces a client to other nodes, once it is subscribed to its rooms.
    pub fn publish_connected(&self, connection: &Arc<Connection>) {
        let mut state = self.lock();
        let current = state.connections.get(&connection.client);
        if current.is_some_and(|current| Arc::ptr_eq(current, connection)) {
            let client = state.connected_client(connection);
            self.publish_client_change(&mut state, ClientChange::Connected { client });
        }
    }

    /// The lock keeps the changes in order.
    pub(super) fn publish_client_change(&self, state: &mut State, client_change: ClientChange) {
        if let Some(bus) = &self.bus {
            state.change_count += 1;
            let change = state.change_count;
            bus.broadcast(Message::ClientChanged {
                change_seq: change,
                client_change,
            });
        }
    }

    /// Client changes sent to the other nodes.
    #[must_use]
    pub fn change_count(&self) -> u64 {
        self.lock().change_count
    }

    /// Sends this node's clients to another node.
    pub fn send_client_list(&self, to: NodeId) {
        let Some(bus) = &self.bus else { return };
        let mut state = self.lock();
        state.list_count += 1;
        let list = state.list_count;
        let local = state
            .connections
            .values()
            .filter(|connection| connection.remote_node().is_none());
        let clients: Vec<_> = local
            .map(|connection| state.connected_client(connection))
            .collect();
        let parts = clients.len().div_ceil(MAX_CLIENTS_PER_MESSAGE).max(1);
        for (index, part) in (0..).zip(0..parts) {
            let part_clients = clients
                .iter()
                .skip(part * MAX_CLIENTS_PER_MESSAGE)
                .take(MAX_CLIENTS_PER_MESSAGE);
            let message = Message::ClientList {
                change_count: state.change_count,
                clients: part_clients.cloned().collect(),
                is_last: part + 1 == parts,
                part: Some(ListPart { list, index }),
            };
            bus.send_to(to, message);
        }
    }

    /// Adds another node's client. None if it is registered already, perhaps with a higher incarnation, or another user
    /// has the id.
    pub fn register_remote(
        &self,
        node: NodeId,
        connected: ConnectedClient,
    ) -> Option<Arc<Connection>> {
        let bus = self.bus.clone()?;
        let mut state = self.lock();
        if let Some(earlier) = state.connections.get(&connected.client).cloned() {
            if earlier.person.id != connected.person.id
                || !connected.incarnation.replaces(earlier.incarnation)
            {
                return None;
            }
            let is_same = earlier.incarnation == connected.incarnation;
            if is_same && earlier.remote_node() == Some(node) {
                earlier.set_visible(connected.visible);
                return None;
            }
            state.remove(&earlier);
            earlier.close(CloseCode::Replaced);
        }
        let ConnectedClient {
            client,
            person,
            guest_of,
            visible,
            direct_rooms,
            incarnation,
        } = connected;
        let user = person.id;
        let connection = Connection::remote(client, person, visible, node, bus);
        let connection = connection.as_guest_of(guest_of).in_incarnation(incarnation);
        let connection = Arc::new(connection);
        state.add(&connection);
        if let Some(user) = state.users.get_mut(&user) {
            user.rooms.extend(direct_rooms);
        }
        Some(connection)
    }

    /// Connection of a client to that other node.
    #[must_use]
    pub fn find_remote_connection(
        &self,
        node: NodeId,
        client: ClientId,
    ) -> Option<Arc<Connection>> {
        self.find_connection(client)
            .filter(|connection| connection.remote_node() == Some(node))
    }

    /// Connections to another node, except those of the given clients.
    #[must_use]
    pub fn remote_connections_except(
        &self,
        node: NodeId,
        kept_clients: &HashSet<ClientId>,
    ) -> Vec<Arc<Connection>> {
        let state = self.lock();
        let connections = state.connections.values();
        connections
            .filter(|connection| {
                connection.remote_node() == Some(node) && !kept_clients.contains(&connection.client)
            })
            .cloned()
            .collect()
    }
}
