//! The current user's rooms. A change of a room notifies only its readers.

use crate::{
    model::{
        RoomId,
        room::{RoomKind, RoomSummary},
    },
    people::Viewer,
};
use leptos::prelude::*;
use reactive_stores::Store;

#[derive(Debug, Default, Store)]
struct RoomState {
    /// In list order.
    #[store(key: RoomId = |room| room.id)]
    list: Vec<RoomSummary>,
}

/// The current user's rooms.
#[derive(Debug, Clone, Copy)]
pub struct Rooms(Store<RoomState>);

impl Rooms {
    pub(super) fn new() -> Self {
        let store = Store::new(RoomState::default());
        // Without keys, the first write by key would lock the store twice.
        store.list().update_keys();
        Self(store)
    }

    /// The ids of a kind's rooms that are not hidden, in list order.
    #[must_use]
    pub fn ids(self, kind: RoomKind) -> Memo<Vec<RoomId>> {
        self.ids_if(move |room| room.kind == kind)
    }

    /// The ids of the direct rooms that are not hidden, in list order, without those of blocked people.
    #[must_use]
    pub fn direct_ids(self, viewer: Viewer) -> Memo<Vec<RoomId>> {
        self.ids_if(move |room| {
            let other = room.other_person.as_ref().map(|person| person.id);
            room.kind == RoomKind::Direct && !other.is_some_and(|other| viewer.has_blocked(other))
        })
    }

    fn ids_if(
        self,
        is_wanted: impl Fn(&RoomSummary) -> bool + Send + Sync + 'static,
    ) -> Memo<Vec<RoomId>> {
        Memo::new(move |_| {
            let list = self.0.list().read();
            let shown = list
                .iter()
                .filter(|room| !room.is_hidden && is_wanted(room));
            shown.map(|room| room.id).collect()
        })
    }

    /// A property of a room, or its default until the room is added.
    #[must_use]
    pub fn property<T>(self, room: RoomId, property: fn(&RoomSummary) -> T) -> Memo<T>
    where
        T: Default + PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| {
            let found = self.0.list().at_key(room).try_with(property);
            found.unwrap_or_default()
        })
    }

    /// Unread messages in all rooms.
    #[must_use]
    pub fn unread(self) -> i64 {
        self.0.list().read().iter().map(|room| room.unread).sum()
    }

    pub(super) fn find_id(self, slug: &str) -> Option<RoomId> {
        let list = self.0.list().read();
        list.iter()
            .find(|room| room.slug == slug)
            .map(|room| room.id)
    }

    pub(super) fn replace_all(self, rooms: Vec<RoomSummary>) {
        self.0.list().set(rooms);
    }

    pub(super) fn upsert(self, room: &RoomSummary) {
        let known = self.0.list().at_key(room.id);
        if known.try_update(|known| known.clone_from(room)).is_none() {
            self.0.list().write().push(room.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Epoch;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use uuid::Uuid;

    fn room(id: u128, unread: i64) -> RoomSummary {
        RoomSummary {
            id: RoomId(Uuid::from_u128(id)),
            slug: format!("room-{id}"),
            title: format!("Room {id}"),
            kind: RoomKind::Public,
            other_person: None,
            epoch: Epoch("a".into()),
            head: 0,
            read_seq: 0,
            unread,
            is_hidden: false,
        }
    }

    fn counted_title(rooms: Rooms, id: RoomId) -> (Memo<String>, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let title = Memo::new(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            let list = rooms.0.list();
            let title = list.at_key(id).try_with(|room| room.title.clone());
            title.unwrap_or_default()
        });
        (title, count)
    }

    #[test]
    fn a_change_of_one_room_notifies_no_other() {
        Owner::new().with(|| {
            let rooms = Rooms::new();
            rooms.replace_all(vec![room(1, 0), room(2, 0)]);
            let (one, two) = (room(1, 0).id, room(2, 0).id);
            let (title_one, reads_of_one) = counted_title(rooms, one);
            let (title_two, reads_of_two) = counted_title(rooms, two);
            let counts = || {
                let _ = (title_one.get_untracked(), title_two.get_untracked());
                let count = |reads: &AtomicUsize| reads.load(Ordering::Relaxed);
                (count(&reads_of_one), count(&reads_of_two))
            };
            assert_eq!(counts(), (1, 1));
            rooms.upsert(&room(2, 3));
            assert_eq!(counts(), (1, 2));
            assert_eq!(rooms.unread(), 3);
        });
    }

    #[test]
    fn a_room_is_read_once_it_is_known() {
        Owner::new().with(|| {
            let rooms = Rooms::new();
            let (ids, id) = (rooms.ids(RoomKind::Public), room(1, 0).id);
            let unread = rooms.property(id, |room| room.unread);
            assert_eq!((unread.get_untracked(), ids.get_untracked().len()), (0, 0));
            rooms.upsert(&room(1, 2));
            assert_eq!((unread.get_untracked(), ids.get_untracked()), (2, vec![id]));
            rooms.upsert(&room(1, 4));
            rooms.upsert(&room(2, 5));
            assert_eq!((unread.get_untracked(), rooms.unread()), (4, 9));
            rooms.replace_all(vec![room(2, 5)]);
            assert_eq!(unread.get_untracked(), 0);
        });
    }
}
