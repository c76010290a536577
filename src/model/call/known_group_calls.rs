//! Group calls known to this client, without browser APIs.

use super::group::{GroupCallView, Participation};
use crate::model::RoomId;
use std::collections::HashMap;

/// Milliseconds that unconfirmed calls stay listed after a reconnect; a node has the list 5 s after its start.
pub const CONFIRMATION_TIMEOUT: i32 = 6_000;

/// Group calls that the server reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownGroupCalls {
    /// Also ended calls: an older view can still arrive.
    by_room: HashMap<RoomId, KnownGroupCall>,
    connection_count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct KnownGroupCall {
    view: GroupCallView,
    /// Reported over the current connection.
    is_confirmed: bool,
}

impl KnownGroupCalls {
    /// The ongoing call of a room.
    #[must_use]
    pub fn ongoing_in_room(&self, room: RoomId) -> Option<&GroupCallView> {
        let known = self.by_room.get(&room)?;
        Some(&known.view).filter(|view| !view.is_ended())
    }

    /// Merges a view and returns the result. Of an older view only `participation` counts.
    pub fn merge_view(&mut self, view: &GroupCallView) -> GroupCallView {
        match self.by_room.get_mut(&view.room) {
            Some(known) if known.view.id == view.id && known.is_newer_than(view) => {
                known.is_confirmed = true;
                let is_let_in = matches!(view.participation, Some(Participation::In { .. }))
                    && known.view.is_ended();
                GroupCallView {
                    participation: view.participation.clone().filter(|_| !is_let_in),
                    ..known.view.clone()
                }
            }
            // A late view of the previous call.
            Some(known)
                if known.view.id != view.id
                    && !known.view.is_ended()
                    && known.is_of_later_call_than(view) =>
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

    /// Forgets ended calls and marks the others as unconfirmed. Returns the connection's number.
    pub fn mark_unconfirmed(&mut self) -> u32 {
        self.by_room.retain(|_, known| !known.view.is_ended());
        for known in self.by_room.values_mut() {
            known.is_confirmed = false;
        }
        self.connection_count += 1;
        self.connection_count
    }

    /// Removes the unconfirmed calls, if `connection` is the current one.
    pub fn remove_unconfirmed(&mut self, connection: u32) {
        if connection == self.connection_count {
            self.by_room.retain(|_, known| known.is_confirmed);
        }
    }
}

impl KnownGroupCall {
    /// An end is final: that of a node that missed the last changes has an earlier `as_of`.
    fn is_newer_than(&self, view: &GroupCallView) -> bool {
        let known = &self.view;
        if view.is_ended() && !known.is_ended() {
            return false;
        }
        self.has_later_term_than(view).unwrap_or(
            view.as_of < known.as_of
                || (view.as_of == known.as_of && known.is_ended() && !view.is_ended()),
        )
    }

    fn is_of_later_call_than(&self, view: &GroupCallView) -> bool {
        let started_later = view.started_at < self.view.started_at;
        self.has_later_term_than(view).unwrap_or(started_later)
    }

    /// `None` if both views have the clock of the same node.
    fn has_later_term_than(&self, view: &GroupCallView) -> Option<bool> {
        match (self.view.term, view.term) {
            // The only node may have restarted with another clock.
            (_, 0) | (0, _) => (!self.is_confirmed).then_some(false),
            (known, term) => (known != term).then_some(known > term),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        CallId, Millis, UserId,
        call::{Seat, group::ParticipantView},
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
            term: 0,
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
        assert!(
            merged.participation.is_some(),
            "the participation still counts"
        );
        assert_eq!(people(&rooms), 3);
        assert_eq!(
            rooms.ongoing_in_room(ROOM).unwrap().participation,
            None,
            "participation is not stored for the room"
        );
        rooms.merge_view(&view(1, 2, 12));
        assert_eq!(people(&rooms), 2, "the same `as_of` again");
    }

    #[test]
    fn an_older_view_does_not_revive_an_ended_call_and_another_may_begin() {
        let mut rooms = KnownGroupCalls::default();
        rooms.merge_view(&view(1, 2, 10));
        rooms.merge_view(&view(1, 0, 9));
        assert_eq!(people(&rooms), 0, "from a node that missed a change");
        rooms.merge_view(&view(1, 2, 10));
        assert_eq!(people(&rooms), 2, "a newer view revives it");
        rooms.merge_view(&view(1, 0, 10));
        assert_eq!(people(&rooms), 0);
        let heard = rooms.merge_view(&with_admission(view(1, 2, 10)));
        assert!(heard.is_ended() && heard.participation.is_none());
        assert_eq!(people(&rooms), 0);
        rooms.merge_view(&view(1, 2, 11));
        assert_eq!(people(&rooms), 2);
        rooms.merge_view(&view(1, 0, 12));
        rooms.merge_view(&view(2, 1, 3));
        assert_eq!(people(&rooms), 1);
        rooms.merge_view(&view(1, 0, 20));
        rooms.merge_view(&view(1, 2, 21));
        assert_eq!(people(&rooms), 1, "the previous call is ignored");
    }

    #[test]
    fn a_later_leader_counts_more_than_a_later_clock() {
        let mut rooms = KnownGroupCalls::default();
        let led = |term: i64, view: GroupCallView| GroupCallView { term, ..view };
        rooms.merge_view(&led(2, view(5, 1, 50)));
        rooms.merge_view(&led(3, view(5, 3, 20)));
        assert_eq!(people(&rooms), 3);
        rooms.merge_view(&led(2, view(5, 2, 60)));
        assert_eq!(people(&rooms), 3, "a late view of the former leader");
        rooms.merge_view(&led(2, view(6, 2, 60)));
        assert_eq!(people(&rooms), 3, "of a former call of the former leader");
        rooms.merge_view(&led(4, view(4, 2, 10)));
        assert_eq!(people(&rooms), 2, "a later call, by an earlier clock");
    }

    #[test]
    fn the_only_node_may_come_back_with_an_earlier_clock() {
        let mut rooms = KnownGroupCalls::default();
        rooms.merge_view(&view(5, 2, 50));
        rooms.mark_unconfirmed();
        rooms.merge_view(&view(5, 1, 20));
        assert_eq!(people(&rooms), 1);
        rooms.merge_view(&view(5, 3, 19));
        assert_eq!(people(&rooms), 1, "from the same node");
        rooms.mark_unconfirmed();
        rooms.merge_view(&view(4, 3, 10));
        assert_eq!(people(&rooms), 3, "a later call");
    }

    #[test]
    fn after_a_reconnect_a_call_stays_until_the_server_has_not_confirmed_it() {
        let mut rooms = KnownGroupCalls::default();
        rooms.merge_view(&view(1, 2, 10));
        let first = rooms.mark_unconfirmed();
        assert_eq!(people(&rooms), 2, "the call stays visible");
        rooms.merge_view(&view(1, 2, 10));
        rooms.remove_unconfirmed(first);
        assert_eq!(people(&rooms), 2);
        let second = rooms.mark_unconfirmed();
        rooms.remove_unconfirmed(first);
        assert_eq!(
            people(&rooms),
            2,
            "the second connection is still reporting"
        );
        rooms.remove_unconfirmed(second);
        assert_eq!(people(&rooms), 0);
    }
}
