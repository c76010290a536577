//! Published presence and its audience.
//!
//! In a small community everyone sees everyone. In a crowd that would cost a message to all for each arrival, so
//! everyone gets a bounded list, their friends and the number.

use super::send_queue::EncodedFrame;
use crate::{
    model::{RoomId, UserId, limits, user::Presence},
    protocol::ws::{PersonPresence, ServerFrame},
};
use std::collections::{HashMap, HashSet, hash_map::Entry};

/// Published presence of one user who is online or away.
#[derive(Debug, Clone)]
pub(super) struct PublishedPresence {
    pub(super) present: PersonPresence,
    /// On the public list; otherwise only their direct rooms see them.
    pub(super) is_listed: bool,
    pub(super) direct_rooms: Vec<RoomId>,
}

/// Published presence of all users who are online or away.
#[derive(Debug, Default)]
pub(super) struct PresenceTable {
    pub(super) published: HashMap<UserId, PublishedPresence>,
    /// Users on the public list: everyone, up to [`limits::MAX_LISTED_PEOPLE`].
    pub(super) listed_users: HashSet<UserId>,
    /// The public list, encoded once until it changes: after a restart thousands connect in a second.
    list_frame: Option<EncodedFrame>,
    users_by_direct_room: HashMap<RoomId, Vec<UserId>>,
    /// Number of people that was last published.
    pub(super) published_crowd: u32,
}

impl PresenceTable {
    /// Returns what has to be published: nothing if presence did not change.
    pub(super) fn set(
        &mut self,
        present: PersonPresence,
        near: Vec<RoomId>,
    ) -> Vec<PublishedPresence> {
        let user = present.person.id;
        let before = self.published.get(&user);
        let is_gone = present.presence == Presence::Offline;
        if before.map_or(is_gone, |told| told.present == present) {
            return Vec::new();
        }
        if is_gone {
            return self.remove(user, present);
        }
        let listed = self.listed_users.contains(&user)
            || self.listed_users.len() < limits::MAX_LISTED_PEOPLE;
        if listed {
            self.listed_users.insert(user);
            self.list_frame = None;
        }
        for room in &near {
            self.users_by_direct_room
                .entry(*room)
                .or_default()
                .push(user);
        }
        let told = PublishedPresence {
            present,
            is_listed: listed,
            direct_rooms: near,
        };
        if let Some(before) = self.published.insert(user, told.clone()) {
            self.remove_from_direct_rooms(user, &before.direct_rooms);
        }
        vec![told]
    }

    /// Another user takes a free place on the public list.
    fn remove(&mut self, user: UserId, present: PersonPresence) -> Vec<PublishedPresence> {
        let Some(before) = self.published.remove(&user) else {
            return Vec::new();
        };
        self.remove_from_direct_rooms(user, &before.direct_rooms);
        let mut changes = vec![PublishedPresence { present, ..before }];
        if self.listed_users.remove(&user) {
            self.list_frame = None;
            if let Some((next, told)) = self.published.iter_mut().find(|(_, told)| !told.is_listed)
            {
                told.is_listed = true;
                self.listed_users.insert(*next);
                changes.push(told.clone());
            }
        }
        changes
    }

    pub(super) fn list_frame(&mut self) -> EncodedFrame {
        let Self {
            published: told,
            listed_users: listed,
            list_frame: list,
            ..
        } = self;
        let encode = || {
            let people = listed.iter().filter_map(|id| told.get(id));
            EncodedFrame::from(&ServerFrame::People {
                people: sort_by_name(people),
            })
        };
        list.get_or_insert_with(encode).clone()
    }

    pub(super) fn add_direct_room(&mut self, user: UserId, room: RoomId) {
        if let Some(told) = self.published.get_mut(&user)
            && !told.direct_rooms.contains(&room)
        {
            told.direct_rooms.push(room);
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

    /// Removes one entry of a user from each of these rooms.
    fn remove_from_direct_rooms(&mut self, user: UserId, rooms: &[RoomId]) {
        for room in rooms {
            if let Entry::Occupied(mut near) = self.users_by_direct_room.entry(*room) {
                if let Some(at) = near.get().iter().position(|one| *one == user) {
                    near.get_mut().swap_remove(at);
                }
                if near.get().is_empty() {
                    near.remove();
                }
            }
        }
    }

    /// Number of people who are online or away.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.published.len()).unwrap_or(u32::MAX)
    }
}

pub(super) fn sort_by_name<'a>(
    told: impl Iterator<Item = &'a PublishedPresence>,
) -> Vec<PersonPresence> {
    let mut people: Vec<_> = told.map(|told| told.present.clone()).collect();
    people.sort_by(|a, b| a.person.name.cmp(&b.person.name));
    people
}
