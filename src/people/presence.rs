//! The presence of people, and the actions of call buttons.

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

/// The people online or away, by name; incomplete above [`limits::MAX_LISTED_PEOPLE`]. Provided once, by the app.
#[derive(Debug, Clone, Copy)]
pub struct PresenceList {
    entries: RwSignal<Vec<PersonPresence>>,
    /// The number of people online or away, as last received.
    crowd: RwSignal<u32>,
}

/// Returns the presence list of the page.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_presence() -> PresenceList {
    expect_context()
}

impl PresenceList {
    /// Provides an empty list to the whole app.
    pub fn provide() -> Self {
        let people = Self {
            entries: RwSignal::new(Vec::new()),
            crowd: RwSignal::new(0),
        };
        provide_context(people);
        people
    }

    /// Starts handling presence frames. Browser only.
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

    /// Sets the server-rendered list. A list already received over the socket is newer and stays.
    pub fn set_initial(&self, rendered: Vec<PersonPresence>) {
        if self.entries.with_untracked(Vec::is_empty) {
            self.entries.set(rendered);
        }
    }

    /// The listed people, sorted by name.
    #[must_use]
    pub fn entries(&self) -> Signal<Vec<PersonPresence>> {
        self.entries.into()
    }

    /// The number of people online or away who are not listed.
    #[must_use]
    pub fn unlisted_count(&self) -> u32 {
        let listed = self.entries.with(Vec::len);
        if listed < limits::MAX_LISTED_PEOPLE {
            return 0;
        }
        let listed = u32::try_from(listed).unwrap_or(u32::MAX);
        self.crowd.get().saturating_sub(listed)
    }

    /// The presence of a user; offline if not listed.
    #[must_use]
    pub fn presence_of(&self, user: UserId) -> Presence {
        self.entries.with(|list| {
            list.iter()
                .find(|present| present.person.id == user)
                .map_or(Presence::Offline, |present| present.presence)
        })
    }
}

/// Applies a presence change and keeps the list sorted by name.
fn apply_change(list: &mut Vec<PersonPresence>, change: &PersonPresence) {
    list.retain(|present| present.person.id != change.person.id);
    if change.presence != Presence::Offline {
        let place = list.partition_point(|present| present.person.name < change.person.name);
        list.insert(place, change.clone());
    }
}

/// The number of people beyond the presence list, if any.
#[component]
pub fn UnlistedCount() -> impl IntoView {
    let people = use_presence();
    move || {
        let more = Some(people.unlisted_count()).filter(|more| *more > 0)?;
        Some(view! { <p class="quiet-text small-text">{format!("and {more} more")}</p> })
    }
}

/// The actions of call buttons on any page. Provided by the app, which connects them to the call client.
#[derive(Debug, Clone, Copy)]
pub struct CallActions {
    /// Calls a person, by voice or video.
    pub start_call: Callback<(Person, Media)>,
    /// Joins or starts the group call of a room, given its id and title.
    pub join_group_call: Callback<(RoomId, String)>,
    /// The ongoing group calls, by room.
    pub group_calls: Signal<KnownGroupCalls>,
    /// The room whose group call this page is in.
    pub joined_room: Signal<Option<RoomId>>,
    /// Renders the prompt to enable call notifications, shown below the list of people.
    pub notification_prompt: Callback<(), AnyView>,
}

/// Returns the actions of call buttons.
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
