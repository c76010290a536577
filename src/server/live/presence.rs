//! Published presence and its audience.
//!
//! In a crowd each arrival would cost a message to all, so everyone sees a bounded list, their friends and the number.

use super::{Connection, ConnectionRegistry, EncodedFrame};
use crate::{
    model::{
        RoomId, UserId, limits,
        user::{Person, Presence},
    },
    protocol::ws::{PersonPresence, ServerFrame},
    server::bus::ClientChange,
};
use indexmap::{IndexMap, IndexSet};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

#[derive(Debug, Clone)]
pub(super) struct PublishedPresence {
    pub(super) present: PersonPresence,
    /// Whether everyone sees the user; otherwise only their direct rooms do.
    pub(super) is_listed: bool,
    pub(super) direct_rooms: Vec<RoomId>,
}

#[derive(Debug, Default)]
pub(super) struct PresenceTable {
    pub(super) published: IndexMap<UserId, PublishedPresence>,
    /// At most [`limits::MAX_LISTED_PEOPLE`].
    pub(super) listed_users: IndexSet<UserId>,
    /// Cached: after a restart thousands connect in a second.
    list_frame: Option<EncodedFrame>,
    users_by_direct_room: HashMap<RoomId, Vec<UserId>>,
    pub(super) published_crowd: u32,
}

impl PresenceTable {
    pub(super) fn set(
        &mut self,
        present: PersonPresence,
        direct_rooms: Vec<RoomId>,
    ) -> Vec<PublishedPresence> {
        let user = present.person.id;
        let before = self.published.get(&user);
        let is_gone = present.presence == Presence::Offline;
        if before.map_or(is_gone, |before| before.present == present) {
            return Vec::new();
        }
        if is_gone {
            return self.remove(user, present);
        }
        let is_listed = self.listed_users.contains(&user)
            || self.listed_users.len() < limits::MAX_LISTED_PEOPLE;
        if is_listed {
            self.listed_users.insert(user);
            self.list_frame = None;
        }
        for room in &direct_rooms {
            self.users_by_direct_room
                .entry(*room)
                .or_default()
                .push(user);
        }
        let published = PublishedPresence {
            present,
            is_listed,
            direct_rooms,
        };
        if let Some(before) = self.published.insert(user, published.clone()) {
            self.remove_from_direct_rooms(user, &before.direct_rooms);
        }
        vec![published]
    }

    /// Another user takes a free place on the public list.
    fn remove(&mut self, user: UserId, present: PersonPresence) -> Vec<PublishedPresence> {
        let Some(before) = self.published.swap_remove(&user) else {
            return Vec::new();
        };
        self.remove_from_direct_rooms(user, &before.direct_rooms);
        let mut changes = vec![PublishedPresence { present, ..before }];
        if self.listed_users.swap_remove(&user) {
            self.list_frame = None;
            let mut published = self.published.iter_mut();
            if let Some((next, unlisted)) = published.find(|(_, entry)| !entry.is_listed) {
                unlisted.is_listed = true;
                self.listed_users.insert(*next);
                changes.push(unlisted.clone());
            }
        }
        changes
    }

    pub(super) fn list_frame(&mut self) -> EncodedFrame {
        let Self {
            published,
            listed_users,
            list_frame,
            ..
        } = self;
        let encode = || {
            let people = listed_users.iter().filter_map(|id| published.get(id));
            EncodedFrame::from(&ServerFrame::People {
                people: sort_by_name(people),
            })
        };
        list_frame.get_or_insert_with(encode).clone()
    }

    pub(super) fn add_direct_room(&mut self, user: UserId, room: RoomId) {
        if let Some(published) = self.published.get_mut(&user)
            && !published.direct_rooms.contains(&room)
        {
            published.direct_rooms.push(room);
            self.users_by_direct_room
                .entry(room)
                .or_default()
                .push(user);
        }
    }

    pub(super) fn users_of_direct_room(&self, room: RoomId) -> impl Iterator<Item = UserId> {
        self.users_by_direct_room
            .get(&room)
            .into_iter()
            .flatten()
            .copied()
    }

    fn remove_from_direct_rooms(&mut self, user: UserId, rooms: &[RoomId]) {
        for room in rooms {
            if let Entry::Occupied(mut users) = self.users_by_direct_room.entry(*room) {
                if let Some(at) = users.get().iter().position(|one| *one == user) {
                    users.get_mut().swap_remove(at);
                }
                if users.get().is_empty() {
                    users.remove();
                }
            }
        }
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.published.len()).unwrap_or(u32::MAX)
    }
}

impl ConnectionRegistry {
    /// Presence that a user can see: the public list and direct rooms, by name.
    #[must_use]
    pub fn list_presence(&self, user: UserId) -> Vec<PersonPresence> {
        let state = self.lock();
        let listed = state.presences.listed_users.iter();
        let listed = listed.filter_map(|id| state.presences.published.get(id));
        sort_by_name(listed.chain(state.unlisted_friends(user)))
    }

    /// The public list, then a frame for each of the user's friends outside it.
    #[must_use]
    pub fn presence_frames(&self, user: UserId) -> Vec<EncodedFrame> {
        let mut state = self.lock();
        let list = state.presences.list_frame();
        let friends = state.unlisted_friends(user).map(|friend| {
            EncodedFrame::from(&ServerFrame::Presence {
                entry: friend.present.clone(),
            })
        });
        std::iter::once(list).chain(friends).collect()
    }

    /// Number of people who are online or away.
    #[must_use]
    pub fn crowd(&self) -> u32 {
        self.lock().presences.count()
    }

    /// Sends the number of people, if it changed and exceeds the public list.
    pub fn publish_crowd(&self) {
        let mut state = self.lock();
        let people = state.presences.count();
        let is_published = state.presences.published_crowd == people;
        state.presences.published_crowd = people;
        let listed = u32::try_from(limits::MAX_LISTED_PEOPLE).unwrap_or(u32::MAX);
        if !is_published && people > listed {
            state.send_to_all(&ServerFrame::Crowd { count: people });
        }
    }

    /// Records and publishes a client's visibility. Other nodes are not told that of a replaced connection: they would
    /// take it for the newer connection's.
    pub fn set_visible(&self, connection: &Connection, visible: bool) {
        let mut state = self.lock();
        connection.set_visible(visible);
        let client = connection.client;
        let current = state.connections.get(&client);
        let is_current =
            current.is_some_and(|current| std::ptr::eq(Arc::as_ptr(current), connection));
        if is_current && connection.remote_node().is_none() {
            let change = ClientChange::VisibilityChanged { client, visible };
            self.publish_client_change(&mut state, change);
        }
        drop(state);
        self.publish_presence(&connection.person);
    }

    /// Publishes a user's presence, name and role, if they changed. Older connections may have an old name.
    pub fn publish_presence(&self, person: &Person) {
        let mut state = self.lock();
        let presence = state.presence(person.id);
        let direct_rooms = state.direct_rooms(person.id);
        let person = state.newest_identity(person.id).unwrap_or(person).clone();
        let present = PersonPresence { person, presence };
        for published in state.presences.set(present, direct_rooms) {
            state.publish_presence(&published);
        }
    }
}

fn sort_by_name<'a>(published: impl Iterator<Item = &'a PublishedPresence>) -> Vec<PersonPresence> {
    let mut people: Vec<_> = published.map(|entry| entry.present.clone()).collect();
    people.sort_by(|a, b| a.person.name.cmp(&b.person.name));
    people
}
