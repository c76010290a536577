//! Calls of rooms, as this page knows them: plain data, no browser in it.

use super::group::{GroupCallView, Participation};
use crate::model::RoomId;
use std::collections::HashMap;

/// The calls of rooms that this page was told of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownGroupCalls {
    /// The last one of each room. One that is over stays, because what is older may come later.
    by_room: HashMap<RoomId, KnownGroupCall>,
    /// How many connections to the server there were.
    connection_count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct KnownGroupCall {
    view: GroupCallView,
    /// It was told over this connection to the server.
    is_confirmed: bool,
}

impl KnownGroupCalls {
    /// The call that goes on in a room.
    #[must_use]
    pub fn ongoing_in_room(&self, room: RoomId) -> Option<&GroupCallView> {
        let known = self.by_room.get(&room)?;
        Some(&known.view).filter(|view| !view.is_ended())
    }

    /// The server said who is in a call. What is to be believed of it: of a view that is older than what is known, only what it says of
    /// this page.
    pub fn merge_view(&mut self, view: &GroupCallView) -> GroupCallView {
        match self.by_room.get_mut(&view.room) {
            Some(known) if known.view.id == view.id && is_older(view, &known.view) => {
                known.is_confirmed = true;
                // Nobody gets into a call that is over.
                let is_let_in = matches!(view.participation, Some(Participation::In { .. }))
                    && known.view.is_ended();
                GroupCallView {
                    participation: view.participation.clone().filter(|_| !is_let_in),
                    ..known.view.clone()
                }
            }
            // A late word on the call before.
            Some(known)
                if known.view.id != view.id
                    && !known.view.is_ended()
                    && view.started_at < known.view.started_at =>
            {
                view.clone()
            }
            _ => {
                let known = KnownGroupCall {
                    view: GroupCallView {
                        participation: None,
                        ..view.clone()
                    },
                    is_confirmed: true,
                };
                self.by_room.insert(view.room, known);
                view.clone()
            }
        }
    }

    /// There is another connection to the server, which tells anew of those that go on. Which it is.
    pub fn mark_unconfirmed(&mut self) -> u32 {
        self.by_room.retain(|_, known| !known.view.is_ended());
        for known in self.by_room.values_mut() {
            known.is_confirmed = false;
        }
        self.connection_count += 1;
        self.connection_count
    }

    /// Over that connection, if it is still the last one, the server has had the time to tell of those that go on.
    pub fn remove_unconfirmed(&mut self, connection: u32) {
        if connection == self.connection_count {
            self.by_room.retain(|_, known| known.is_confirmed);
        }
    }
}

/// Of the same moment, the end is the newer.
fn is_older(view: &GroupCallView, known: &GroupCallView) -> bool {
    view.as_of < known.as_of || (view.as_of == known.as_of && known.is_ended() && !view.is_ended())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        CallId, Millis, UserId,
        call::group::{ParticipantView, Seat},
        user::{Person, Role, UserName},
    };
    use uuid::Uuid;

    const ROOM: RoomId = RoomId(Uuid::from_u128(7));

    fn view(call: u128, people: u32, as_of: Millis) -> GroupCallView {
        let participant = |n: u32| ParticipantView {
            seat: Seat(n),
            person: Person {
                id: UserId(Uuid::from_u128(n.into())),
                name: UserName::new("Ada").unwrap(),
                role: Role::Guest,
            },
            is_guest: false,
            is_disconnected: false,
        };
        GroupCallView {
            id: CallId(Uuid::from_u128(call)),
            room: ROOM,
            started_at: Millis::try_from(call).unwrap(),
            participants: (1..=people).map(participant).collect(),
            max_participants: 6,
            as_of,
            participation: None,
        }
    }

    fn people(rooms: &KnownGroupCalls) -> usize {
        rooms
            .ongoing_in_room(ROOM)
            .map_or(0, |view| view.participants.len())
    }

    fn with_admission(view: GroupCallView) -> GroupCallView {
        let part = Participation::In {
            seat: Seat(1),
            ice_servers: vec![],
        };
        GroupCallView {
            participation: Some(part),
            ..view
        }
    }

    #[test]
    fn an_older_view_that_comes_later_counts_only_for_this_client() {
        let mut rooms = KnownGroupCalls::default();
        rooms.merge_view(&view(1, 1, 10));
        rooms.merge_view(&view(1, 3, 12));
        let merged = rooms.merge_view(&with_admission(view(1, 2, 11)));
        assert_eq!((merged.participants.len(), merged.as_of), (3, 12));
        assert!(merged.participation.is_some(), "it was let in all the same");
        assert_eq!(people(&rooms), 3);
        assert_eq!(
            rooms.ongoing_in_room(ROOM).unwrap().participation,
            None,
            "which is nothing of the room's"
        );
        rooms.merge_view(&view(1, 2, 12));
        assert_eq!(people(&rooms), 2, "the same moment, told anew");
    }

    #[test]
    fn an_older_view_does_not_revive_an_ended_call_and_another_may_begin() {
        let mut rooms = KnownGroupCalls::default();
        rooms.merge_view(&view(1, 2, 10));
        rooms.merge_view(&view(1, 0, 9));
        assert_eq!(people(&rooms), 2, "who said so was wrong, or late");
        rooms.merge_view(&view(1, 0, 10));
        assert_eq!(people(&rooms), 0);
        let heard = rooms.merge_view(&with_admission(view(1, 2, 10)));
        assert!(heard.is_ended() && heard.participation.is_none());
        assert_eq!(people(&rooms), 0);
        rooms.merge_view(&view(1, 2, 11));
        assert_eq!(people(&rooms), 2, "it was not over after all");
        rooms.merge_view(&view(1, 0, 12));
        rooms.merge_view(&view(2, 1, 3));
        assert_eq!(people(&rooms), 1);
        rooms.merge_view(&view(1, 0, 20));
        rooms.merge_view(&view(1, 2, 21));
        assert_eq!(
            people(&rooms),
            1,
            "the one before has nothing to say any more"
        );
    }

    #[test]
    fn after_a_reconnect_a_call_stays_until_the_server_has_not_confirmed_it() {
        let mut rooms = KnownGroupCalls::default();
        rooms.merge_view(&view(1, 2, 10));
        let first = rooms.mark_unconfirmed();
        assert_eq!(people(&rooms), 2, "nothing blinks");
        rooms.merge_view(&view(1, 2, 10));
        rooms.remove_unconfirmed(first);
        assert_eq!(people(&rooms), 2);
        let second = rooms.mark_unconfirmed();
        rooms.remove_unconfirmed(first);
        assert_eq!(
            people(&rooms),
            2,
            "the second has not said all it has to say"
        );
        rooms.remove_unconfirmed(second);
        assert_eq!(people(&rooms), 0);
    }
}
