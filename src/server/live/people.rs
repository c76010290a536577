//! What others are told of who is here. In a small community everybody is told of everybody. In a crowd that would be a message to
//! all for each who comes, so all are told of a bounded number of people, friends of each other, and of the rest how many there are.

use super::outlet::Piece;
use crate::{
    model::{RoomId, UserId, limits, user::Presence},
    protocol::ws::{Present, ServerFrame},
};
use std::collections::{HashMap, HashSet, hash_map::Entry};

/// What was told of somebody who is here or away.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) present: Present,
    /// Whether everybody is told, or only those who hear one of `near`.
    pub(super) listed: bool,
    /// Their direct rooms.
    pub(super) near: Vec<RoomId>,
}

/// Everybody who is here or away, as others were told.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) told: HashMap<UserId, Told>,
    /// Those of whom everybody is told: everybody, while they are not too many.
    pub(super) listed: HashSet<UserId>,
    /// That list as everybody is told it who comes, encoded once until it changes: after a restart thousands come in a second.
    list: Option<Piece>,
    /// Who is near a direct room.
    near: HashMap<RoomId, Vec<UserId>>,
    /// How many there were when that was last told.
    pub(super) crowd: u32,
}

impl People {
    /// Sets where somebody is. What is to be told now: nothing, if it was told before.
    pub(super) fn set(&mut self, present: Present, near: Vec<RoomId>) -> Vec<Told> {
        let user = present.person.id;
        let before = self.told.get(&user);
        let is_gone = present.presence == Presence::Gone;
        if before.map_or(is_gone, |told| told.present == present) {
            return Vec::new();
        }
        if is_gone {
            return self.remove(user, present);
        }
        let listed = self.listed.contains(&user) || self.listed.len() < limits::PEOPLE_LISTED;
        if listed {
            self.listed.insert(user);
            self.list = None;
        }
        for room in &near {
            self.near.entry(*room).or_default().push(user);
        }
        let told = Told {
            present,
            listed,
            near,
        };
        if let Some(before) = self.told.insert(user, told.clone()) {
            self.leave(user, &before.near);
        }
        vec![told]
    }

    /// Somebody went. If everybody was told of them, somebody else is listed in their place.
    fn remove(&mut self, user: UserId, present: Present) -> Vec<Told> {
        let Some(before) = self.told.remove(&user) else {
            return Vec::new();
        };
        self.leave(user, &before.near);
        let mut news = vec![Told { present, ..before }];
        if self.listed.remove(&user) {
            self.list = None;
            if let Some((next, told)) = self.told.iter_mut().find(|(_, told)| !told.listed) {
                told.listed = true;
                self.listed.insert(*next);
                news.push(told.clone());
            }
        }
        news
    }

    /// The list of those of whom everybody is told.
    pub(super) fn list(&mut self) -> Piece {
        let Self {
            told, listed, list, ..
        } = self;
        let encode = || {
            let people = listed.iter().filter_map(|id| told.get(id));
            Piece::from(&ServerFrame::People {
                people: by_name(people),
            })
        };
        list.get_or_insert_with(encode).clone()
    }

    /// Who hears this direct room is told of them from now on.
    pub(super) fn befriend(&mut self, user: UserId, room: RoomId) {
        if let Some(told) = self.told.get_mut(&user)
            && !told.near.contains(&room)
        {
            told.near.push(room);
            self.near.entry(room).or_default().push(user);
        }
    }

    /// Who is near a direct room, as others were told.
    pub(super) fn near(&self, room: RoomId) -> impl Iterator<Item = UserId> {
        self.near.get(&room).into_iter().flatten().copied()
    }

    /// Somebody is not near these rooms any more, or has been counted twice for them.
    fn leave(&mut self, user: UserId, rooms: &[RoomId]) {
        for room in rooms {
            if let Entry::Occupied(mut near) = self.near.entry(*room) {
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
        u32::try_from(self.told.len()).unwrap_or(u32::MAX)
    }
}

/// Where people are, by name.
pub(super) fn by_name<'a>(told: impl Iterator<Item = &'a Told>) -> Vec<Present> {
    let mut people: Vec<_> = told.map(|told| told.present.clone()).collect();
    people.sort_by(|a, b| a.person.name.cmp(&b.person.name));
    people
}
