//! Typing indicators, removed unless repeated in time.

use crate::model::{RoomId, UserId, user::Person};

pub(super) const TYPING_TTL_MS: u32 = 5_000;

#[derive(Debug, Default)]
pub(super) struct Typists {
    list: Vec<Typist>,
    last_number: u32,
}

#[derive(Debug)]
struct Typist {
    room: RoomId,
    person: Person,
    /// Of the indicator's timer.
    number: u32,
}

impl Typists {
    pub(super) fn in_room(&self, room: RoomId) -> impl Iterator<Item = &Person> {
        let in_room = self.list.iter().filter(move |typist| typist.room == room);
        in_room.map(|typist| &typist.person)
    }

    /// Returns the number to [expire](Self::expire) the indicator with.
    pub(super) fn add(&mut self, room: RoomId, person: &Person) -> u32 {
        self.remove(room, person.id);
        self.last_number = self.last_number.wrapping_add(1);
        self.list.push(Typist {
            room,
            person: person.clone(),
            number: self.last_number,
        });
        self.last_number
    }

    pub(super) fn expire(&mut self, number: u32) -> bool {
        self.remove_if(|typist| typist.number == number)
    }

    pub(super) fn remove(&mut self, room: RoomId, person: UserId) -> bool {
        self.remove_if(|typist| typist.room == room && typist.person.id == person)
    }

    fn remove_if(&mut self, is_over: impl Fn(&Typist) -> bool) -> bool {
        let before = self.list.len();
        self.list.retain(|typist| !is_over(typist));
        self.list.len() < before
    }
}
