//! What is known of connections, as plain data behind one lock: pages, whose they are, and who hears which room.

use super::{
    Connection, Piece,
    people::{People, Told},
};
use crate::{
    model::{ClientId, RoomId, UserId, call::group::GroupView, room::RoomKind, user::Presence},
    protocol::ws::ServerFrame,
    server::bus::Page,
};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

#[derive(Debug, Default)]
pub(super) struct State {
    /// Of every node, guests to a call among them, who are in none of what follows: nobody is told of them, and they hear no room.
    pub(super) pages: HashMap<ClientId, Arc<Connection>>,
    /// Everybody who has a page on any node.
    pub(super) users: HashMap<UserId, User>,
    /// Who hears what on this node.
    pub(super) rooms: HashMap<RoomId, Room>,
    pub(super) people: People,
    /// Calls that go on in rooms, whether anybody on this node hears them or not.
    pub(super) groups: HashMap<RoomId, GroupView>,
    /// How many changes of the pages of this node the others were told.
    pub(super) changes: u64,
}

/// Somebody with at least one page.
#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) pages: Vec<Arc<Connection>>,
    /// What all of their pages on this node hear; of what others hear elsewhere, their direct rooms.
    pub(super) rooms: HashSet<RoomId>,
}

/// Who hears a room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) kind: RoomKind,
    pub(super) pages: HashMap<ClientId, Arc<Connection>>,
}

impl State {
    pub(super) fn presence(&self, user: UserId) -> Presence {
        let Some(user) = self.users.get(&user) else {
            return Presence::Gone;
        };
        if user.pages.iter().any(|page| page.is_visible()) {
            Presence::Here
        } else {
            Presence::Away
        }
    }

    pub(super) fn add(&mut self, connection: &Arc<Connection>) {
        self.pages.insert(connection.client, connection.clone());
        if connection.guest_of.is_some() {
            return;
        }
        let user = self.users.entry(connection.person.id).or_default();
        user.pages.push(connection.clone());
    }

    pub(super) fn forget(&mut self, connection: &Connection) {
        self.pages.remove(&connection.client);
        let Entry::Occupied(mut user) = self.users.entry(connection.person.id) else {
            return;
        };
        for room in &user.get().rooms {
            if let Entry::Occupied(mut hearers) = self.rooms.entry(*room) {
                hearers.get_mut().pages.remove(&connection.client);
                if hearers.get().pages.is_empty() {
                    hearers.remove();
                }
            }
        }
        let pages = &mut user.get_mut().pages;
        pages.retain(|page| page.client != connection.client);
        if pages.is_empty() {
            user.remove();
        }
    }

    pub(super) fn join(&mut self, user: UserId, room: RoomId, kind: RoomKind) {
        let Some(user) = self.users.get_mut(&user) else {
            return;
        };
        user.rooms.insert(room);
        let here = user.pages.iter().filter(|page| page.node().is_none());
        let mut here = here.map(|page| (page.client, page.clone())).peekable();
        if here.peek().is_some() {
            let pages = HashMap::new();
            let hearers = self.rooms.entry(room).or_insert(Room { kind, pages });
            hearers.pages.extend(here);
        }
    }

    /// The direct rooms of a user who has a page that somebody on this node hears as well.
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

    /// Those who share a direct room with a user, as far as not everybody is told of them.
    pub(super) fn unlisted_friends(&self, user: UserId) -> impl Iterator<Item = &Told> {
        let rooms = self.direct_rooms(user);
        let here = rooms.iter().flat_map(|room| self.hearers(*room));
        let here = here.map(|page| page.person.id);
        // Who is connected to another node hears nothing here.
        let anywhere = rooms.iter().flat_map(|room| self.people.near(*room));
        let friends: HashSet<_> = here.chain(anywhere).collect();
        friends
            .into_iter()
            .filter_map(|friend| self.people.told.get(&friend))
            .filter(|told| !told.listed)
    }

    pub(super) fn hearers(&self, room: RoomId) -> impl Iterator<Item = &Arc<Connection>> {
        let room = self.rooms.get(&room).into_iter();
        room.flat_map(|room| room.pages.values())
    }

    /// These calls go on in rooms, and no others. Whoever hears the room of one that was not known to have changed is told.
    pub(super) fn know_groups(&mut self, groups: &[GroupView]) {
        let now: HashMap<RoomId, GroupView> = groups
            .iter()
            .map(|group| (group.room, group.clone()))
            .collect();
        let before = std::mem::replace(&mut self.groups, now);
        for (room, group) in &self.groups {
            if before.get(room) != Some(group) {
                self.tell_group(group);
            }
        }
        for (room, group) in before {
            if !self.groups.contains_key(&room) {
                let members = Vec::new();
                self.tell_group(&GroupView { members, ..group });
            }
        }
    }

    fn tell_group(&self, group: &GroupView) {
        let frame = ServerFrame::GroupCall {
            group: group.clone(),
        };
        let piece = Piece::from(&frame);
        for page in self.hearers(group.room) {
            page.push(&piece);
        }
    }

    pub(super) fn to_all(&self, frame: &ServerFrame) {
        let piece = Piece::from(frame);
        for page in self.users.values().flat_map(|user| &user.pages) {
            page.push(&piece);
        }
    }

    pub(super) fn tell(&self, told: &Told) {
        let frame = ServerFrame::Presence {
            present: told.present.clone(),
        };
        if told.listed {
            return self.to_all(&frame);
        }
        let piece = Piece::from(&frame);
        for page in told.near.iter().flat_map(|room| self.hearers(*room)) {
            page.push(&piece);
        }
    }

    /// As other nodes know a page of this one.
    pub(super) fn page(&self, connection: &Connection) -> Page {
        Page {
            client: connection.client,
            person: connection.person.clone(),
            guest_of: connection.guest_of,
            visible: connection.is_visible(),
            near: self.direct_rooms(connection.person.id),
        }
    }
}
