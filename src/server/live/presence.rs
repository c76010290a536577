//! What others are told of who is here. In a small community everybody is told of everybody. In a crowd that would be a message to
//! all for each who comes, so all are told of a bounded number of people, friends of each other, and of the rest how many there are.

use super::send_queue::EncodedFrame;
use crate::{
    model::{RoomId, UserId, limits, user::Presence},
    protocol::ws::{PersonPresence, ServerFrame},
};
use std::collections::{HashMap, HashSet, hash_map::Entry};

/// What was told of somebody who is here or away.
#[derive(Debug, Clone)]
pub(super) struct PublishedPresence {
    pub(super) present: PersonPresence,
    /// Whether everybody is told, or only those who hear one of `near`.
    pub(super) is_listed: bool,
    /// Their direct rooms.
    pub(super) direct_rooms: Vec<RoomId>,
}

/// Everybody who is here or away, as others were told.
#[derive(Debug, Default)]
pub(super) struct PresenceTable {
    pub(super) published: HashMap<UserId, PublishedPresence>,
    /// Those of whom everybody is told: everybody, while they are not too many.
    pub(super) listed_users: HashSet<UserId>,
    /// That list as everybody is told it who comes, encoded once until it changes: after a restart thousands come in a second.
    list_frame: Option<EncodedFrame>,
    /// Who is near a direct room.
    users_by_direct_room: HashMap<RoomId, Vec<UserId>>,
    /// How many there were when that was last told.
    pub(super) published_crowd: u32,
}

impl PresenceTable {
    /// Sets where somebody is. What is to be told now: nothing, if it was told before.
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

    /// Somebody went. If everybody was told of them, somebody else is listed in their place.
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

    /// The list of those of whom everybody is told.
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

    /// Who hears this direct room is told of them from now on.
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

    /// Who is near a direct room, as others were told.
    pub(super) fn users_of_direct_room(&self, room: RoomId) -> impl Iterator<Item = UserId> {
        self.users_by_direct_room
            .get(&room)
            .into_iter()
            .flatten()
            .copied()
    }

    /// Somebody is not near these rooms any more, or has been counted twice for them.
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

    /// How many are here or away.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.published.len()).unwrap_or(u32::MAX)
    }
}

/// Where people are, by name.
pub(super) fn sort_by_name<'a>(
    told: impl Iterator<Item = &'a PublishedPresence>,
) -> Vec<PersonPresence> {
    let mut people: Vec<_> = told.map(|told| told.present.clone()).collect();
    people.sort_by(|a, b| a.person.name.cmp(&b.person.name));
    people
}
