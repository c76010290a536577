//! Clients of other nodes, and commands between nodes: every node knows every client, and the client's own node writes
//! to it.

use super::{Connection, ConnectionRegistry, State};
use crate::{
    model::{ClientId, RoomId, UserId, room::RoomKind},
    protocol::close::CloseCode,
    server::{
        bus::{ClientChange, ConnectedClient, Message, NodeId, RemoteCommand},
        live::EncodedFrame,
    },
};
use std::{collections::HashSet, sync::Arc};

/// A client takes about 150 bytes, and NATS accepts 1 MB.
const MAX_CLIENTS_PER_MESSAGE: usize = 2_000;

impl ConnectionRegistry {
    /// Applies a command from any node to the clients of this one.
    pub fn apply(&self, order: &RemoteCommand) {
        match order {
            RemoteCommand::SendToRoom {
                room,
                frame,
                except,
            } => {
                let piece = EncodedFrame::from(&**frame);
                let state = self.lock();
                let pages = state.subscribers(*room);
                for page in pages.filter(|page| Some(page.person.id) != *except) {
                    page.push(&piece);
                }
            }
            RemoteCommand::SendToUser { user, frame } => {
                let piece = EncodedFrame::from(&**frame);
                self.for_each_connection(*user, |page| page.push(&piece));
            }
            RemoteCommand::SendToClient { client, frame } => {
                let piece = EncodedFrame::from(&**frame);
                if let Some(page) = self.find_connection(*client) {
                    page.push(&piece);
                }
            }
            RemoteCommand::RetainFrame { room, retained } => {
                self.lock().retain_frame(*room, retained);
            }
            RemoteCommand::ClearFrame {
                room,
                subject,
                frame,
            } => self.lock().clear_retained_frame(*room, *subject, frame),
            RemoteCommand::SyncRetainedFrames { frames } => {
                self.lock().replace_retained_frames(frames);
            }
            RemoteCommand::SendToAll { frame } => self.lock().send_to_all(frame),
            RemoteCommand::SubscribeUser { user, room, kind } => {
                self.subscribe(*user, *room, *kind);
            }
            RemoteCommand::SubscribeAll { room, kind } => self.subscribe_all(*room, *kind),
            RemoteCommand::CloseSession { session } => {
                let state = self.lock();
                let pages = state.connections.values();
                for page in pages.filter(|page| page.is_of(session)) {
                    page.close(CloseCode::SignedOut);
                }
            }
            RemoteCommand::CloseOtherSessions {
                user,
                kept_session: keep,
            } => self.for_each_connection(*user, |page| {
                if !page.is_of(keep) {
                    page.close(CloseCode::SignedOut);
                }
            }),
            RemoteCommand::ReconnectUser { user } => {
                self.for_each_connection(*user, |page| page.close(CloseCode::GoingAway));
            }
        }
    }

    /// Applies a command here and sends it to every other node.
    pub(super) fn broadcast_command(&self, order: RemoteCommand) {
        self.apply(&order);
        if let Some(bus) = &self.bus {
            bus.broadcast(Message::Command { command: order });
        }
    }

    pub(super) fn send_command(&self, node: NodeId, order: RemoteCommand) {
        if let Some(bus) = &self.bus {
            bus.send_to(node, Message::Command { command: order });
        }
    }

    fn for_each_connection(&self, user: UserId, act: impl Fn(&Connection)) {
        let state = self.lock();
        let theirs = state.users.get(&user).into_iter();
        for page in theirs.flat_map(|user| &user.connections) {
            act(page);
        }
    }

    fn subscribe_all(&self, room: RoomId, kind: RoomKind) {
        let mut state = self.lock();
        let users: Vec<_> = state.users.keys().copied().collect();
        for user in users {
            state.subscribe(user, room, kind);
        }
    }

    /// Announces a client to the other nodes, once it is subscribed to its rooms.
    pub fn publish_connected(&self, connection: &Arc<Connection>) {
        let mut state = self.lock();
        let current = state.connections.get(&connection.client);
        if current.is_some_and(|current| Arc::ptr_eq(current, connection)) {
            let page = state.connected_client(connection);
            self.publish_client_change(&mut state, ClientChange::Connected { client: page });
        }
    }

    /// Sends a client change to the other nodes, in order, because the lock is held.
    pub(super) fn publish_client_change(&self, state: &mut State, page: ClientChange) {
        if let Some(bus) = &self.bus {
            state.change_count += 1;
            let change = state.change_count;
            bus.broadcast(Message::ClientChanged {
                change_seq: change,
                client_change: page,
            });
        }
    }

    /// Client changes sent to the other nodes.
    #[must_use]
    pub fn change_count(&self) -> u64 {
        self.lock().change_count
    }

    /// Sends this node's clients to another node, in one or more messages.
    pub fn send_client_list(&self, to: NodeId) {
        let Some(bus) = &self.bus else { return };
        let state = self.lock();
        let here = state
            .connections
            .values()
            .filter(|page| page.remote_node().is_none());
        let here: Vec<_> = here.map(|page| state.connected_client(page)).collect();
        let parts = here.len().div_ceil(MAX_CLIENTS_PER_MESSAGE).max(1);
        for part in 0..parts {
            let pages = here
                .iter()
                .skip(part * MAX_CLIENTS_PER_MESSAGE)
                .take(MAX_CLIENTS_PER_MESSAGE);
            let message = Message::ClientList {
                change_count: state.change_count,
                clients: pages.cloned().collect(),
                is_last: part + 1 == parts,
            };
            bus.send_to(to, message);
        }
    }

    /// Adds a client of another node. None if it is registered, or its id belongs to another user.
    pub fn register_remote(&self, node: NodeId, page: ConnectedClient) -> Option<Arc<Connection>> {
        let bus = self.bus.clone()?;
        let mut state = self.lock();
        if let Some(earlier) = state.connections.get(&page.client).cloned() {
            if earlier.person.id != page.person.id {
                return None;
            }
            if earlier.remote_node() == Some(node) {
                earlier.set_visible(page.visible);
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
            direct_rooms: near,
        } = page;
        let user = person.id;
        let connection = Connection::remote(client, person, visible, node, bus);
        let connection = connection.as_guest_of(guest_of);
        let connection = Arc::new(connection);
        state.add(&connection);
        if let Some(user) = state.users.get_mut(&user) {
            user.rooms.extend(near);
        }
        Some(connection)
    }

    /// Connection of a client to the given other node.
    #[must_use]
    pub fn find_remote_connection(
        &self,
        node: NodeId,
        client: ClientId,
    ) -> Option<Arc<Connection>> {
        self.find_connection(client)
            .filter(|page| page.remote_node() == Some(node))
    }

    /// Connections to another node, except those of the given clients.
    #[must_use]
    pub fn remote_connections_except(
        &self,
        node: NodeId,
        but: &HashSet<ClientId>,
    ) -> Vec<Arc<Connection>> {
        let state = self.lock();
        let pages = state.connections.values();
        pages
            .filter(|page| page.remote_node() == Some(node) && !but.contains(&page.client))
            .cloned()
            .collect()
    }
}
