//! Presence, and the actions of call buttons.

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
use reactive_stores::Store;

#[derive(Debug, Default, Store)]
struct PresenceState {
    /// Sorted by name.
    #[store(key: UserId = |entry| entry.person.id)]
    entries: Vec<PersonPresence>,
    crowd: u32,
}

/// The people online or away, by name; incomplete above [`limits::MAX_LISTED_PEOPLE`]. A change notifies only that person's readers.
#[derive(Debug, Clone, Copy)]
pub struct PresenceList(Store<PresenceState>);

/// The presence list of the page.
///
/// # Panics
///
/// Outside the app.
#[must_use]
pub fn use_presence() -> PresenceList {
    expect_context()
}

impl PresenceList {
    fn new() -> Self {
        let store = Store::new(PresenceState::default());
        // Without keys, the first write by key would lock the store twice.
        store.entries().update_keys();
        Self(store)
    }

    /// Provides an empty list.
    pub fn provide() -> Self {
        let people = Self::new();
        provide_context(people);
        people
    }

    /// Starts handling presence frames. Browser only.
    pub fn subscribe(self, socket: Socket) {
        socket.on_frame(move |frame| match frame {
            ServerFrame::Welcome { crowd, .. } | ServerFrame::Crowd { count: crowd } => {
                self.0.crowd().set(*crowd);
            }
            ServerFrame::People { people } => self.0.entries().set(people.clone()),
            ServerFrame::Presence { entry } => self.apply(entry),
            ServerFrame::Resumed { .. }
            | ServerFrame::Event { .. }
            | ServerFrame::Sent { .. }
            | ServerFrame::Refused(_)
            | ServerFrame::UploadReady { .. }
            | ServerFrame::UploadProgress { .. }
            | ServerFrame::Room { .. }
            | ServerFrame::Settings { .. }
            | ServerFrame::Read { .. }
            | ServerFrame::Typing { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Error(_)
            | ServerFrame::Call { .. }
            | ServerFrame::Signal { .. }
            | ServerFrame::GroupCall { .. } => {}
        });
    }

    fn apply(self, change: &PersonPresence) {
        let entries = self.0.entries();
        let known = entries.at_key(change.person.id);
        let keeps_place = change.presence != Presence::Offline
            && known
                .try_read_untracked()
                .is_some_and(|known| known.person.name == change.person.name);
        if keeps_place {
            known.try_update(|known| *known = change.clone());
        } else {
            entries.update(|list| apply_change(list, change));
        }
    }

    /// A list already received over the socket stays.
    pub fn take_fetched(self, fetched: &[PersonPresence]) {
        let is_empty = self.0.entries().read_untracked().is_empty();
        if is_empty && !fetched.is_empty() {
            self.0.entries().set(fetched.to_vec());
        }
    }

    /// The listed people except `me`, by name.
    #[must_use]
    pub fn others(self, me: UserId) -> Memo<Vec<UserId>> {
        Memo::new(move |_| {
            let entries = self.0.entries().read();
            let ids = entries.iter().map(|entry| entry.person.id);
            ids.filter(|id| *id != me).collect()
        })
    }

    /// A person; `None` if not listed.
    #[must_use]
    pub fn person(self, user: UserId) -> Memo<Option<Person>> {
        let entry = self.0.entries().at_key(user);
        Memo::new(move |_| entry.try_with(|entry| entry.person.clone()))
    }

    /// The presence of a user; offline if not listed.
    #[must_use]
    pub fn presence_of(self, user: UserId) -> Memo<Presence> {
        let entry = self.0.entries().at_key(user);
        Memo::new(move |_| {
            let listed = entry.try_with(|entry| entry.presence);
            listed.unwrap_or(Presence::Offline)
        })
    }

    /// People online, plus all unlisted ones.
    #[must_use]
    pub fn online_count(self) -> Memo<usize> {
        let is_online = |entry: &&PersonPresence| entry.presence == Presence::Online;
        Memo::new(move |_| {
            let entries = self.0.entries();
            let listed = entries.with(|list| list.iter().filter(is_online).count());
            listed + usize::try_from(self.unlisted_count()).unwrap_or(0)
        })
    }

    /// People online or away who are not listed.
    #[must_use]
    pub fn unlisted_count(self) -> u32 {
        let listed = self.0.entries().read().len();
        if listed < limits::MAX_LISTED_PEOPLE {
            return 0;
        }
        let listed = u32::try_from(listed).unwrap_or(u32::MAX);
        self.0.crowd().get().saturating_sub(listed)
    }
}

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

/// The actions of call buttons.
#[derive(Debug, Clone, Copy)]
pub struct CallActions {
    pub start_call: Callback<(Person, Media)>,
    /// By the room's id and title.
    pub join_group_call: Callback<(RoomId, String)>,
    pub group_calls: Signal<KnownGroupCalls>,
    /// The room whose group call this page is in.
    pub joined_room: Signal<Option<RoomId>>,
    /// To enable call notifications, below the list of people.
    pub notification_prompt: Callback<(), AnyView>,
}

/// The actions of call buttons.
///
/// # Panics
///
/// Outside the app.
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

    #[test]
    fn one_persons_presence_changes_in_place() {
        Owner::new().with(|| {
            let people = PresenceList::new();
            let (grace, ada) = (
                entry(1, "Grace", Presence::Online),
                entry(2, "Ada", Presence::Online),
            );
            people.take_fetched(&[ada.clone(), grace.clone()]);
            let others = people.others(ada.person.id);
            let (of_grace, online) = (people.presence_of(grace.person.id), people.online_count());
            let state = || (of_grace.get_untracked(), online.get_untracked());
            assert_eq!(state(), (Presence::Online, 2));
            people.apply(&entry(1, "Grace", Presence::Away));
            assert_eq!(state(), (Presence::Away, 1));
            assert_eq!(others.get_untracked(), [grace.person.id]);
            people.take_fetched(std::slice::from_ref(&ada));
            assert_eq!(state(), (Presence::Away, 1), "what is known is newer");
        });
    }

    #[test]
    fn who_comes_and_goes_is_read_as_present_and_offline() {
        Owner::new().with(|| {
            let people = PresenceList::new();
            let ada = entry(2, "Ada", Presence::Online);
            let (presence, person) = (
                people.presence_of(ada.person.id),
                people.person(ada.person.id),
            );
            let state = || {
                let name = person.get_untracked().map(|person| person.name.to_string());
                (presence.get_untracked(), name)
            };
            assert_eq!(state(), (Presence::Offline, None));
            people.apply(&entry(1, "Grace", Presence::Online));
            assert_eq!(state(), (Presence::Offline, None));
            people.apply(&ada);
            assert_eq!(state(), (Presence::Online, Some("Ada".to_owned())));
            people.apply(&entry(2, "Zoe", Presence::Online));
            assert_eq!(state().1.as_deref(), Some("Zoe"));
            people.apply(&entry(2, "Zoe", Presence::Offline));
            assert_eq!(state(), (Presence::Offline, None));
        });
    }
}
