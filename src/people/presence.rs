//! Who is here, and how to reach them.

use crate::{
    model::{
        RoomId, UserId,
        call::{Media, known_group_calls::KnownGroupCalls},
        limits,
        user::{Person, Presence},
    },
    protocol::ws::{PersonPresence, ServerFrame},
    ui::socket::Socket,
};
use leptos::prelude::*;

/// Who is here or away, by name: everybody, unless they are too many. Provided once, by the app; empty until the socket is online.
#[derive(Debug, Clone, Copy)]
pub struct PresenceList {
    entries: RwSignal<Vec<PersonPresence>>,
    /// How many there are in all, as last told.
    crowd: RwSignal<u32>,
}

/// Everybody who is here or away, by name.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_presence() -> PresenceList {
    expect_context()
}

impl PresenceList {
    /// Makes it available to the whole app.
    pub fn provide() -> Self {
        let people = Self {
            entries: RwSignal::new(Vec::new()),
            crowd: RwSignal::new(0),
        };
        provide_context(people);
        people
    }

    /// Starts to listen. Browser only.
    pub fn subscribe(self, socket: Socket) {
        socket.on_frame(move |frame| match frame {
            ServerFrame::Welcome { crowd, .. } => self.crowd.set(*crowd),
            ServerFrame::People { people } => self.entries.set(people.clone()),
            ServerFrame::Crowd { count: people } => self.crowd.set(*people),
            ServerFrame::Presence { entry: present } => {
                self.entries.update(|list| apply_change(list, present));
            }
            _ => {}
        });
    }

    /// The list as the server rendered it. What the socket said since is newer and stays.
    pub fn set_initial(&self, rendered: Vec<PersonPresence>) {
        if self.entries.with_untracked(Vec::is_empty) {
            self.entries.set(rendered);
        }
    }

    /// The list.
    #[must_use]
    pub fn entries(&self) -> Signal<Vec<PersonPresence>> {
        self.entries.into()
    }

    /// How many are here or away who are not in the list, for they are too many.
    #[must_use]
    pub fn unlisted_count(&self) -> u32 {
        let listed = self.entries.with(Vec::len);
        if listed < limits::MAX_LISTED_PEOPLE {
            return 0;
        }
        let listed = u32::try_from(listed).unwrap_or(u32::MAX);
        self.crowd.get().saturating_sub(listed)
    }

    /// Where one of them is.
    #[must_use]
    pub fn presence_of(&self, user: UserId) -> Presence {
        self.entries.with(|list| {
            list.iter()
                .find(|present| present.person.id == user)
                .map_or(Presence::Offline, |present| present.presence)
        })
    }
}

/// Puts a change into the list, which stays sorted by name.
fn apply_change(list: &mut Vec<PersonPresence>, change: &PersonPresence) {
    list.retain(|present| present.person.id != change.person.id);
    if change.presence != Presence::Offline {
        let place = list.partition_point(|present| present.person.name < change.person.name);
        list.insert(place, change.clone());
    }
}

/// How many more people there are than a list of those who are here shows.
#[component]
pub fn UnlistedCount() -> impl IntoView {
    let people = use_presence();
    move || {
        let more = Some(people.unlisted_count()).filter(|more| *more > 0)?;
        Some(view! { <p class="quiet-text small-text">{format!("and {more} more")}</p> })
    }
}

/// What a Call button does, wherever it is. Provided by the app, which knows the calls.
#[derive(Debug, Clone, Copy)]
pub struct CallActions {
    /// Calls somebody.
    pub start_call: Callback<(Person, Media)>,
    /// Joins the call of a room, or starts it: which room, and what it is called.
    pub join_group_call: Callback<(RoomId, String)>,
    /// Calls that go on in rooms, by room.
    pub group_calls: Signal<KnownGroupCalls>,
    /// The room whose call this page is in.
    pub joined_room: Signal<Option<RoomId>>,
    /// What there is to ask somebody who can be called, below those who can call them.
    pub notification_prompt: Callback<(), AnyView>,
}

/// How to reach people.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_call_actions() -> CallActions {
    expect_context()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::user::{Role, UserName};
    use uuid::Uuid;

    fn entry(id: u128, name: &str, presence: Presence) -> PersonPresence {
        let person = Person {
            id: UserId(Uuid::from_u128(id)),
            name: UserName::new(name).unwrap(),
            role: Role::Guest,
        };
        PersonPresence { person, presence }
    }

    #[test]
    fn the_list_stays_sorted_and_everybody_is_in_it_once() {
        let mut list = Vec::new();
        for change in [
            entry(1, "Grace", Presence::Online),
            entry(2, "Ada", Presence::Online),
            entry(1, "Grace", Presence::Away),
            entry(3, "Alan", Presence::Online),
            entry(3, "Alan", Presence::Offline),
        ] {
            apply_change(&mut list, &change);
        }
        assert_eq!(
            list,
            [
                entry(2, "Ada", Presence::Online),
                entry(1, "Grace", Presence::Away)
            ]
        );
    }
}
