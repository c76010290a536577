//! Typing indicators, removed unless repeated in time.

use crate::{
    model::{Millis, RoomId, UserId, user::Person},
    ui::browser,
};
use leptos::prelude::*;

/// In milliseconds.
const TYPING_TTL: Millis = 5_000;

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

    pub(super) fn on_typing(self, room: RoomId, person: &Person) {
        let until = browser::monotonic_now() + TYPING_TTL;
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
                self.0.update(|typists| {
                    typists.retain(|typist| typist.until > browser::monotonic_now());
                });
            },
        );
    }

    pub(super) fn remove(self, room: RoomId, person: UserId) {
        self.0.maybe_update(|typists| {
            let count = typists.len();
            typists.retain(|typist| typist.room != room || typist.person.id != person);
            typists.len() < count
        });
    }
}
