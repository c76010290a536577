//! State of the registry, behind one lock. Its maps are ordered, so that a simulation repeats exactly.

use super::{
    Connection, EncodedFrame,
    presence::{PresenceTable, PublishedPresence},
    retained::RetainedFrames,
};
use crate::{
    model::{
        ClientId, RoomId, UserId,
        room::RoomKind,
        user::{Person, Presence},
    },
    protocol::ws::ServerFrame,
    server::bus::ConnectedClient,
};
use indexmap::{IndexMap, IndexSet, map::Entry};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct State {
    /// Clients of all nodes. Guests of calls are only here.
    pub(super) connections: IndexMap<ClientId, Arc<Connection>>,
    pub(super) users: IndexMap<UserId, UserConnections>,
    pub(super) rooms: IndexMap<RoomId, RoomSubscribers>,
    pub(super) presences: PresenceTable,
    /// Kept also without a subscriber on this node.
    pub(super) retained: RetainedFrames,
    pub(super) change_count: u64,
    pub(super) list_count: u64,
}

#[derive(Debug, Default)]
pub(super) struct UserConnections {
    pub(super) connections: Vec<Arc<Connection>>,
    /// Rooms of the user's clients; of clients on other nodes, at least the direct rooms.
    pub(super) rooms: IndexSet<RoomId>,
}

#[derive(Debug)]
pub(super) struct RoomSubscribers {
    pub(super) kind: RoomKind,
    pub(super) connections: IndexMap<ClientId, Arc<Connection>>,
}

impl State {
    pub(super) fn presence(&self, user: UserId) -> Presence {
        let Some(user) = self.users.get(&user) else {
            return Presence::Offline;
        };
        if user
            .connections
            .iter()
            .any(|connection| connection.is_visible())
        {
            Presence::Online
        } else {
            Presence::Away
        }
    }

    pub(super) fn newest_identity(&self, user: UserId) -> Option<&Person> {
        let connections = &self.users.get(&user)?.connections;
        connections.last().map(|newest| &newest.person)
    }

    pub(super) fn add(&mut self, connection: &Arc<Connection>) {
        self.connections
            .insert(connection.client, connection.clone());
        if connection.guest_of.is_some() {
            return;
        }
        let user = self.users.entry(connection.person.id).or_default();
        user.connections.push(connection.clone());
    }

    pub(super) fn remove(&mut self, connection: &Connection) {
        self.connections.swap_remove(&connection.client);
        let Entry::Occupied(mut user) = self.users.entry(connection.person.id) else {
            return;
        };
        for room in &user.get().rooms {
            if let Entry::Occupied(mut subscribers) = self.rooms.entry(*room) {
                subscribers
                    .get_mut()
                    .connections
                    .swap_remove(&connection.client);
                if subscribers.get().connections.is_empty() {
                    subscribers.swap_remove();
                }
            }
        }
        let connections = &mut user.get_mut().connections;
        connections.retain(|other| other.client != connection.client);
        if connections.is_empty() {
            user.swap_remove();
        }
    }

    pub(super) fn substitute(
        &mut self,
        connection: &Arc<Connection>,
        updated: &Arc<Connection>,
    ) -> bool {
        let client = connection.client;
        let current = self.connections.get_mut(&client);
        let Some(current) = current.filter(|current| Arc::ptr_eq(current, connection)) else {
            return false;
        };
        *current = updated.clone();
        let Some(user) = self.users.get_mut(&connection.person.id) else {
            return true;
        };
        for one in user
            .connections
            .iter_mut()
            .filter(|one| one.client == client)
        {
            *one = updated.clone();
        }
        for room in &user.rooms {
            let subscribers = self.rooms.get_mut(room);
            if let Some(one) = subscribers.and_then(|room| room.connections.get_mut(&client)) {
                *one = updated.clone();
            }
        }
        true
    }

    pub(super) fn subscribe(&mut self, user: UserId, room: RoomId, kind: RoomKind) {
        let Some(user) = self.users.get_mut(&user) else {
            return;
        };
        user.rooms.insert(room);
        let here = user
            .connections
            .iter()
            .filter(|connection| connection.remote_node().is_none());
        let mut here = here
            .map(|connection| (connection.client, connection.clone()))
            .peekable();
        if here.peek().is_some() {
            let connections = IndexMap::new();
            let subscribers = self
                .rooms
                .entry(room)
                .or_insert(RoomSubscribers { kind, connections });
            subscribers.connections.extend(here);
        }
    }

    /// Returns only rooms with a subscriber on this node.
    pub(super) fn direct_rooms(&self, user: UserId) -> Vec<RoomId> {
        let rooms = self.users.get(&user).map(|user| &user.rooms);
        let is_direct = |room: &RoomId| {
            let room = self.rooms.get(room);
            room.is_some_and(|room| room.kind == RoomKind::Direct)
        };
        rooms
            .into_iter()
            .flatten()
            .copied()
            .filter(is_direct)
            .collect()
    }

    pub(super) fn unlisted_friends(
        &self,
        user: UserId,
    ) -> impl Iterator<Item = &PublishedPresence> {
        let rooms = self.direct_rooms(user);
        let here = rooms.iter().flat_map(|room| self.subscribers(*room));
        let here = here.map(|connection| connection.person.id);
        // Users on other nodes have no subscription on this one.
        let anywhere = rooms
            .iter()
            .flat_map(|room| self.presences.users_of_direct_room(*room));
        let friends: IndexSet<_> = here.chain(anywhere).collect();
        friends
            .into_iter()
            .filter_map(|friend| self.presences.published.get(&friend))
            .filter(|published| !published.is_listed)
    }

    pub(super) fn subscribers(&self, room: RoomId) -> impl Iterator<Item = &Arc<Connection>> {
        let room = self.rooms.get(&room).into_iter();
        room.flat_map(|room| room.connections.values())
    }

    pub(super) fn send_to_all(&self, frame: &ServerFrame) {
        let encoded = EncodedFrame::from(frame);
        for connection in self.users.values().flat_map(|user| &user.connections) {
            connection.push(&encoded);
        }
    }

    pub(super) fn publish_presence(&self, published: &PublishedPresence) {
        let frame = ServerFrame::Presence {
            entry: published.present.clone(),
        };
        if published.is_listed {
            return self.send_to_all(&frame);
        }
        let encoded = EncodedFrame::from(&frame);
        for connection in published
            .direct_rooms
            .iter()
            .flat_map(|room| self.subscribers(*room))
        {
            connection.push(&encoded);
        }
    }

    pub(super) fn connected_client(&self, connection: &Connection) -> ConnectedClient {
        ConnectedClient {
            client: connection.client,
            person: connection.person.clone(),
            guest_of: connection.guest_of,
            visible: connection.is_visible(),
            direct_rooms: self.direct_rooms(connection.person.id),
            incarnation: connection.incarnation,
        }
    }
}
