//! Typing indicators: received from the server, and removed unless repeated in time.

use crate::{
    model::{Millis, RoomId, UserId, user::Person},
    ui::browser,
};
use leptos::prelude::*;

/// How long a typing indicator lasts without being repeated, in milliseconds.
const TYPING_TTL: Millis = 5_000;

/// The people typing in all rooms.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypingUsers(RwSignal<Vec<Typist>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Typist {
    room: RoomId,
    person: Person,
    until: Millis,
}

impl TypingUsers {
    pub(super) fn new() -> Self {
        Self(RwSignal::new(Vec::new()))
    }

    pub(super) fn in_room(self, room: RoomId) -> Vec<Person> {
        self.0.with(|typists| {
            typists
                .iter()
                .filter(|typist| typist.room == room)
                .map(|typist| typist.person.clone())
                .collect()
        })
    }

    /// Adds or renews a person's indicator. Browser only.
    pub(super) fn on_typing(self, room: RoomId, person: &Person) {
        let until = browser::now() + TYPING_TTL;
        self.remove(room, person.id);
        self.0.update(|typists| {
            typists.push(Typist {
                room,
                person: person.clone(),
                until,
            });
        });
        browser::run_after(
            i32::try_from(TYPING_TTL).unwrap_or(i32::MAX) + 50,
            move || {
                self.0
                    .update(|typists| typists.retain(|typist| typist.until > browser::now()));
            },
        );
    }

    /// Removes a person's indicator: their message has arrived.
    pub(super) fn remove(self, room: RoomId, person: UserId) {
        self.0.maybe_update(|typists| {
            let count = typists.len();
            typists.retain(|typist| typist.room != room || typist.person.id != person);
            typists.len() < count
        });
    }
}
