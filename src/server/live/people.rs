//! What others are told of who is here. In a small community everybody is told of everybody. In a crowd that would be a message to
//! all for each who comes, so all are told of a bounded number of people, friends of each other, and of the rest how many there are.

use crate::{
    model::{RoomId, UserId, limits, user::Presence},
    protocol::ws::Present,
};
use std::collections::{HashMap, HashSet};

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
        }
        let told = Told {
            present,
            listed,
            near,
        };
        self.told.insert(user, told.clone());
        vec![told]
    }

    /// Somebody went. If everybody was told of them, somebody else is listed in their place.
    fn remove(&mut self, user: UserId, present: Present) -> Vec<Told> {
        let Some(before) = self.told.remove(&user) else {
            return Vec::new();
        };
        let mut news = vec![Told { present, ..before }];
        if self.listed.remove(&user)
            && let Some((next, told)) = self.told.iter_mut().find(|(_, told)| !told.listed)
        {
            told.listed = true;
            self.listed.insert(*next);
            news.push(told.clone());
        }
        news
    }

    /// Who hears this direct room is told of them from now on.
    pub(super) fn befriend(&mut self, user: UserId, room: RoomId) {
        if let Some(told) = self.told.get_mut(&user)
            && !told.near.contains(&room)
        {
            told.near.push(room);
        }
    }

    /// How many are here or away.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.told.len()).unwrap_or(u32::MAX)
    }
}
