//! Calls of rooms, as this page knows them: plain data, no browser in it.

use super::group::{GroupView, Part};
use crate::model::RoomId;
use std::collections::HashMap;

/// The calls of rooms that this page was told of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomCalls {
    /// The last one of each room. One that is over stays, because what is older may come later.
    by_room: HashMap<RoomId, Known>,
    /// How many connections to the server there were.
    connections: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    view: GroupView,
    /// It was told over this connection to the server.
    certain: bool,
}

impl RoomCalls {
    /// The call that goes on in a room.
    #[must_use]
    pub fn of(&self, room: RoomId) -> Option<&GroupView> {
        let known = self.by_room.get(&room)?;
        Some(&known.view).filter(|view| !view.is_over())
    }

    /// The server said who is in a call. What is to be believed of it: of a view that is older than what is known, only what it says of
    /// this page.
    pub fn hear(&mut self, view: &GroupView) -> GroupView {
        match self.by_room.get_mut(&view.room) {
            Some(known) if known.view.id == view.id && is_older(view, &known.view) => {
                known.certain = true;
                // Nobody gets into a call that is over.
                let is_let_in = matches!(view.part, Some(Part::In { .. })) && known.view.is_over();
                GroupView {
                    part: view.part.clone().filter(|_| !is_let_in),
                    ..known.view.clone()
                }
            }
            // A late word on the call before.
            Some(known)
                if known.view.id != view.id
                    && !known.view.is_over()
                    && view.started_at < known.view.started_at =>
            {
                view.clone()
            }
            _ => {
                let known = Known {
                    view: GroupView {
                        part: None,
                        ..view.clone()
                    },
                    certain: true,
                };
                self.by_room.insert(view.room, known);
                view.clone()
            }
        }
    }

    /// There is another connection to the server, which tells anew of those that go on. Which it is.
    pub fn doubt(&mut self) -> u32 {
        self.by_room.retain(|_, known| !known.view.is_over());
        for known in self.by_room.values_mut() {
            known.certain = false;
        }
        self.connections += 1;
        self.connections
    }

    /// Over that connection, if it is still the last one, the server has had the time to tell of those that go on.
    pub fn forget_doubtful(&mut self, connection: u32) {
        if connection == self.connections {
            self.by_room.retain(|_, known| known.certain);
        }
    }
}

/// Of the same moment, the end is the newer.
fn is_older(view: &GroupView, known: &GroupView) -> bool {
    view.as_of < known.as_of || (view.as_of == known.as_of && known.is_over() && !view.is_over())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        CallId, Millis, UserId,
        call::group::{Seat, Seated},
        user::{Person, Role, UserName},
    };
    use uuid::Uuid;

    const ROOM: RoomId = RoomId(Uuid::from_u128(7));

    fn view(call: u128, people: u32, as_of: Millis) -> GroupView {
        let seated = |n: u32| Seated {
            seat: Seat(n),
            person: Person {
                id: UserId(Uuid::from_u128(n.into())),
                name: UserName::new("Ada").unwrap(),
                role: Role::Guest,
            },
            guest: false,
            away: false,
        };
        GroupView {
            id: CallId(Uuid::from_u128(call)),
            room: ROOM,
            started_at: Millis::try_from(call).unwrap(),
            members: (1..=people).map(seated).collect(),
            most: 6,
            as_of,
            part: None,
        }
    }

    fn people(rooms: &RoomCalls) -> usize {
        rooms.of(ROOM).map_or(0, |view| view.members.len())
    }

    fn let_in(view: GroupView) -> GroupView {
        let part = Part::In {
            seat: Seat(1),
            ice_servers: vec![],
        };
        GroupView {
            part: Some(part),
            ..view
        }
    }

    #[test]
    fn what_is_older_and_comes_later_counts_only_for_this_page() {
        let mut rooms = RoomCalls::default();
        rooms.hear(&view(1, 1, 10));
        rooms.hear(&view(1, 3, 12));
        let heard = rooms.hear(&let_in(view(1, 2, 11)));
        assert_eq!((heard.members.len(), heard.as_of), (3, 12));
        assert!(heard.part.is_some(), "it was let in all the same");
        assert_eq!(people(&rooms), 3);
        assert_eq!(
            rooms.of(ROOM).unwrap().part,
            None,
            "which is nothing of the room's"
        );
        rooms.hear(&view(1, 2, 12));
        assert_eq!(people(&rooms), 2, "the same moment, told anew");
    }

    #[test]
    fn what_is_older_does_not_bring_back_a_call_that_is_over_and_another_may_begin() {
        let mut rooms = RoomCalls::default();
        rooms.hear(&view(1, 2, 10));
        rooms.hear(&view(1, 0, 9));
        assert_eq!(people(&rooms), 2, "who said so was wrong, or late");
        rooms.hear(&view(1, 0, 10));
        assert_eq!(people(&rooms), 0);
        let heard = rooms.hear(&let_in(view(1, 2, 10)));
        assert!(heard.is_over() && heard.part.is_none());
        assert_eq!(people(&rooms), 0);
        rooms.hear(&view(1, 2, 11));
        assert_eq!(people(&rooms), 2, "it was not over after all");
        rooms.hear(&view(1, 0, 12));
        rooms.hear(&view(2, 1, 3));
        assert_eq!(people(&rooms), 1);
        rooms.hear(&view(1, 0, 20));
        rooms.hear(&view(1, 2, 21));
        assert_eq!(
            people(&rooms),
            1,
            "the one before has nothing to say any more"
        );
    }

    #[test]
    fn after_a_reconnect_it_stays_until_the_server_has_not_told_of_it() {
        let mut rooms = RoomCalls::default();
        rooms.hear(&view(1, 2, 10));
        let first = rooms.doubt();
        assert_eq!(people(&rooms), 2, "nothing blinks");
        rooms.hear(&view(1, 2, 10));
        rooms.forget_doubtful(first);
        assert_eq!(people(&rooms), 2);
        let second = rooms.doubt();
        rooms.forget_doubtful(first);
        assert_eq!(
            people(&rooms),
            2,
            "the second has not said all it has to say"
        );
        rooms.forget_doubtful(second);
        assert_eq!(people(&rooms), 0);
    }
}
