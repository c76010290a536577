//! Who is here, and how to reach them.

use crate::{
    model::{
        RoomId, UserId,
        call::{Media, rooms::RoomCalls},
        limits,
        user::{Person, Presence},
    },
    protocol::ws::{Present, ServerFrame},
    ui::socket::Socket,
};
use leptos::prelude::*;

/// Who is here or away, by name: everybody, unless they are too many. Provided once, by the app; empty until the socket is online.
#[derive(Debug, Clone, Copy)]
pub struct People {
    present: RwSignal<Vec<Present>>,
    /// How many there are in all, as last told.
    crowd: RwSignal<u32>,
}

/// Everybody who is here or away, by name.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_people() -> People {
    expect_context()
}

impl People {
    /// Makes it available to the whole app.
    pub fn provide() -> Self {
        let people = Self {
            present: RwSignal::new(Vec::new()),
            crowd: RwSignal::new(0),
        };
        provide_context(people);
        people
    }

    /// Starts to listen. Browser only.
    pub fn listen(self, socket: Socket) {
        socket.on_frame(move |frame| match frame {
            ServerFrame::Welcome { crowd, .. } => self.crowd.set(*crowd),
            ServerFrame::People { people } => self.present.set(people.clone()),
            ServerFrame::Crowd { people } => self.crowd.set(*people),
            ServerFrame::Presence { present } => self.present.update(|list| merge(list, present)),
            _ => {}
        });
    }

    /// The list as the server rendered it. What the socket said since is newer and stays.
    pub fn show(&self, rendered: Vec<Present>) {
        if self.present.with_untracked(Vec::is_empty) {
            self.present.set(rendered);
        }
    }

    /// The list.
    #[must_use]
    pub fn present(&self) -> Signal<Vec<Present>> {
        self.present.into()
    }

    /// How many are here or away who are not in the list, for they are too many.
    #[must_use]
    pub fn unlisted(&self) -> u32 {
        let listed = self.present.with(Vec::len);
        if listed < limits::PEOPLE_LISTED {
            return 0;
        }
        let listed = u32::try_from(listed).unwrap_or(u32::MAX);
        self.crowd.get().saturating_sub(listed)
    }

    /// Where one of them is.
    #[must_use]
    pub fn of(&self, user: UserId) -> Presence {
        self.present.with(|list| {
            list.iter()
                .find(|present| present.person.id == user)
                .map_or(Presence::Gone, |present| present.presence)
        })
    }
}

/// Puts a change into the list, which stays sorted by name.
fn merge(list: &mut Vec<Present>, change: &Present) {
    list.retain(|present| present.person.id != change.person.id);
    if change.presence != Presence::Gone {
        let place = list.partition_point(|present| present.person.name < change.person.name);
        list.insert(place, change.clone());
    }
}

/// How many more people there are than a list of those who are here shows.
#[component]
pub fn Unlisted() -> impl IntoView {
    let people = use_people();
    move || {
        let more = Some(people.unlisted()).filter(|more| *more > 0)?;
        Some(view! { <p class="quiet-text small-text">{format!("and {more} more")}</p> })
    }
}

/// What a Call button does, wherever it is. Provided by the app, which knows the calls.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Calls somebody.
    pub call: Callback<(Person, Media)>,
    /// Joins the call of a room, or starts it: which room, and what it is called.
    pub join: Callback<(RoomId, String)>,
    /// Calls that go on in rooms, by room.
    pub groups: Signal<RoomCalls>,
    /// The room whose call this page is in.
    pub joined: Signal<Option<RoomId>>,
    /// What there is to ask somebody who can be called, below those who can call them.
    pub question: Callback<(), AnyView>,
}

/// How to reach people.
///
/// # Panics
/// Outside the app, which provides it.
#[must_use]
pub fn use_reach() -> Reach {
    expect_context()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::user::{Role, UserName};
    use uuid::Uuid;

    fn present(id: u128, name: &str, presence: Presence) -> Present {
        let person = Person {
            id: UserId(Uuid::from_u128(id)),
            name: UserName::new(name).unwrap(),
            role: Role::Guest,
        };
        Present { person, presence }
    }

    #[test]
    fn the_list_stays_sorted_and_everybody_is_in_it_once() {
        let mut list = Vec::new();
        for change in [
            present(1, "Grace", Presence::Here),
            present(2, "Ada", Presence::Here),
            present(1, "Grace", Presence::Away),
            present(3, "Alan", Presence::Here),
            present(3, "Alan", Presence::Gone),
        ] {
            merge(&mut list, &change);
        }
        assert_eq!(
            list,
            [
                present(2, "Ada", Presence::Here),
                present(1, "Grace", Presence::Away)
            ]
        );
    }
}
