//! Who types where: said by the server, and forgotten when it was not said again for a while.

use crate::{
    model::{Millis, RoomId, UserId, user::Person},
    ui::browser,
};
use leptos::prelude::*;

/// Somebody types until this long after they were last said to, in milliseconds.
const LASTS: Millis = 5_000;

/// Who types. A handle: copy it freely.
#[derive(Debug, Clone, Copy)]
pub(super) struct Typing(RwSignal<Vec<Typist>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Typist {
    room: RoomId,
    person: Person,
    until: Millis,
}

impl Typing {
    pub(super) fn new() -> Self {
        Self(RwSignal::new(Vec::new()))
    }

    /// Who types in a room.
    pub(super) fn within(self, room: RoomId) -> Vec<Person> {
        self.0.with(|typists| {
            typists
                .iter()
                .filter(|typist| typist.room == room)
                .map(|typist| typist.person.clone())
                .collect()
        })
    }

    /// Somebody was said to type. Browser only.
    pub(super) fn heard(self, room: RoomId, person: &Person) {
        let until = browser::now() + LASTS;
        self.stopped(room, person.id);
        self.0.update(|typists| {
            typists.push(Typist {
                room,
                person: person.clone(),
                until,
            });
        });
        browser::after(i32::try_from(LASTS).unwrap_or(i32::MAX) + 50, move || {
            self.0
                .update(|typists| typists.retain(|typist| typist.until > browser::now()));
        });
    }

    /// Somebody has sent what they typed.
    pub(super) fn stopped(self, room: RoomId, person: UserId) {
        self.0.update(|typists| {
            typists.retain(|typist| typist.room != room || typist.person.id != person);
        });
    }
}
