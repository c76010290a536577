//! Group call of a room: its participants, and when it ends.
//!
//! Participants form a full mesh; of two, the later one makes the offers. Pure, driven like
//! [`super::state_machine`].

use super::types::{IceServer, Seat};
use crate::model::{CallId, ClientId, Millis, RoomId, UserId, user::Person};
use serde::{Deserialize, Serialize};

/// A participant of a group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    pub seat: Seat,
    pub user: UserId,
    #[serde(rename = "page")]
    pub client: ClientId,
    /// Joined by a guest link, with access to this call only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "guest")]
    pub is_guest: bool,
    /// `None` while connected to the server.
    #[serde(default, skip)]
    pub disconnected_since: Option<Millis>,
}

/// Parameters of a new group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCallStart {
    pub id: CallId,
    pub room: RoomId,
    pub started_by: UserId,
}

/// Limits of every group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCallLimits {
    pub max_participants: usize,
    /// Milliseconds for a disconnected client to reconnect.
    pub grace: Millis,
}

/// A group call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCall {
    pub id: CallId,
    pub room: RoomId,
    pub started_by: UserId,
    pub started_at: Millis,
    pub ended_at: Option<Millis>,
    /// In the order of joining.
    pub participants: Vec<Participant>,
    /// In the order of first joining.
    pub ever_joined: Vec<UserId>,
    pub next_seat: u32,
    limits: GroupCallLimits,
}

/// Input of a group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupCallInput {
    /// Joins, or moves to another client.
    Join {
        user: UserId,
        client: ClientId,
        is_guest: bool,
    },
    Leave {
        user: UserId,
    },
    /// The client may reconnect.
    ConnectionLost {
        client: ClientId,
    },
    /// Left for good.
    ClientLeft {
        client: ClientId,
    },
    ClientConnected {
        client: ClientId,
    },
    /// A deadline may have passed.
    Timeout,
}

/// Why an input is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupCallRejection {
    /// Also for a guest who joins an empty call.
    #[error("That call has ended.")]
    Ended,
    #[error("This call is full ({0} people). Wait until somebody leaves, then join.")]
    Full(usize),
    /// Also for a seat that no participant has.
    #[error("This page is not in that call.")]
    NotParticipant,
}

impl GroupCall {
    /// A new call without participants.
    #[must_use]
    pub fn start(start: GroupCallStart, rules: GroupCallLimits, now: Millis) -> Self {
        Self {
            id: start.id,
            room: start.room,
            started_by: start.started_by,
            started_at: now,
            ended_at: None,
            participants: Vec::new(),
            ever_joined: Vec::new(),
            next_seat: 1,
            limits: rules,
        }
    }

    /// Restores a call after a restart, with every client disconnected.
    #[must_use]
    pub fn restore(mut self, now: Millis) -> Self {
        for member in &mut self.participants {
            member.disconnected_since = Some(now);
        }
        self
    }

    /// Applies an input.
    ///
    /// # Errors
    ///
    /// [`GroupCallRejection`]; the call is unchanged.
    pub fn apply(&mut self, input: GroupCallInput, now: Millis) -> Result<(), GroupCallRejection> {
        if self.is_ended() {
            return Err(GroupCallRejection::Ended);
        }
        match input {
            GroupCallInput::Join {
                user,
                client,
                is_guest: guest,
            } => return self.join(user, client, guest),
            GroupCallInput::Leave { user } => {
                self.participants.retain(|member| member.user != user);
            }
            GroupCallInput::ConnectionLost { client: page } => {
                if let Some(member) = self.participant_mut(page) {
                    member.disconnected_since.get_or_insert(now);
                }
            }
            GroupCallInput::ClientLeft { client: page } => {
                self.participants.retain(|member| member.client != page);
            }
            GroupCallInput::ClientConnected { client: page } => {
                if let Some(member) = self.participant_mut(page) {
                    member.disconnected_since = None;
                }
            }
            GroupCallInput::Timeout => {
                let grace = self.limits.grace;
                let stays = |since: Millis| since + grace > now;
                self.participants
                    .retain(|member| member.disconnected_since.is_none_or(stays));
            }
        }
        // The call belongs to the room, and ends when only guests are left.
        if self.participants.iter().all(|member| member.is_guest) {
            self.participants.clear();
        }
        // A call that nobody has joined has not started.
        if self.participants.is_empty() && !self.ever_joined.is_empty() {
            self.ended_at = Some(now);
        }
        Ok(())
    }

    fn join(
        &mut self,
        user: UserId,
        page: ClientId,
        is_guest: bool,
    ) -> Result<(), GroupCallRejection> {
        if is_guest && self.participants.is_empty() {
            return Err(GroupCallRejection::Ended);
        }
        if let Some(member) = self.participant_mut(page) {
            member.disconnected_since = None;
            return Ok(());
        }
        let others = self
            .participants
            .iter()
            .filter(|member| member.user != user)
            .count();
        if others >= self.limits.max_participants {
            return Err(GroupCallRejection::Full(self.limits.max_participants));
        }
        self.participants.retain(|member| member.user != user);
        self.participants.push(Participant {
            seat: Seat(self.next_seat),
            user,
            client: page,
            is_guest,
            disconnected_since: None,
        });
        self.next_seat += 1;
        if !self.ever_joined.contains(&user) {
            self.ever_joined.push(user);
        }
        Ok(())
    }

    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// When [`GroupCallInput::Timeout`] is due; `None` while every client is connected.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let gone = self
            .participants
            .iter()
            .filter_map(|member| member.disconnected_since);
        gone.min().map(|since| since + self.limits.grace)
    }

    /// The participant with this client.
    #[must_use]
    pub fn participant(&self, page: ClientId) -> Option<&Participant> {
        self.participants
            .iter()
            .find(|member| member.client == page)
    }

    fn participant_mut(&mut self, page: ClientId) -> Option<&mut Participant> {
        self.participants
            .iter_mut()
            .find(|member| member.client == page)
    }

    /// The sender's seat and the receiving client of a signal.
    ///
    /// # Errors
    ///
    /// [`GroupCallRejection::NotParticipant`] for an unknown sender or seat.
    pub fn signal_target(
        &self,
        from: ClientId,
        to: Seat,
    ) -> Result<(Seat, ClientId), GroupCallRejection> {
        let from = self
            .participant(from)
            .ok_or(GroupCallRejection::NotParticipant)?;
        let to = self
            .participants
            .iter()
            .find(|member| member.seat == to && member.seat != from.seat)
            .ok_or(GroupCallRejection::NotParticipant)?;
        Ok((from.seat, to.client))
    }

    /// Milliseconds; `None` before the end.
    #[must_use]
    pub fn lasted(&self) -> Option<Millis> {
        Some((self.ended_at? - self.started_at).max(0))
    }

    #[must_use]
    pub fn max_participants(&self) -> usize {
        self.limits.max_participants
    }
}

/// A group call as the clients of its room see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCallView {
    pub id: CallId,
    pub room: RoomId,
    pub started_at: Millis,
    /// In the order of joining; empty after the end.
    #[serde(rename = "members")]
    pub participants: Vec<ParticipantView>,
    #[serde(rename = "most")]
    pub max_participants: usize,
    /// By the server's clock; strictly increasing in a term, because an older view can arrive later.
    #[serde(default)]
    pub as_of: Millis,
    /// The leader's term, whose clock counts; 0 for the only node and for nodes of an earlier build.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub term: i64,
    /// Of the receiving client, if it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "part")]
    pub participation: Option<Participation>,
}

// The lint depends on the size of a pointer.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(term: &i64) -> bool {
    *term == 0
}

/// A participant, as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantView {
    pub seat: Seat,
    /// A guest's name is unverified and may equal another's.
    pub person: Person,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "guest")]
    pub is_guest: bool,
    /// The client may reconnect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "away")]
    pub is_disconnected: bool,
}

impl ParticipantView {
    /// "Ada" or "Ada (guest)".
    #[must_use]
    pub fn display_name(&self) -> String {
        display_name(self.person.name.as_str(), self.is_guest)
    }
}

/// Marks guests, so that none passes for a member.
#[must_use]
pub fn display_name(name: &str, is_guest: bool) -> String {
    if is_guest {
        format!("{name} (guest)")
    } else {
        name.to_owned()
    }
}

/// Participation of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Participation {
    In {
        seat: Seat,
        ice_servers: Vec<IceServer>,
    },
    /// Left, moved to another client, or did not reconnect in time.
    Out,
}

impl GroupCallView {
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.participants.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const LIMITS: GroupCallLimits = GroupCallLimits {
        max_participants: 3,
        grace: 10_000,
    };

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn client(n: u128) -> ClientId {
        ClientId(Uuid::from_u128(n))
    }

    fn join_input(n: u128) -> GroupCallInput {
        GroupCallInput::Join {
            user: user(n),
            client: client(n),
            is_guest: false,
        }
    }

    fn call_with_participants(people: u128) -> GroupCall {
        let start = GroupCallStart {
            id: CallId(Uuid::from_u128(1)),
            room: RoomId(Uuid::from_u128(2)),
            started_by: user(1),
        };
        let mut call = GroupCall::start(start, LIMITS, 0);
        (1..=people).for_each(|n| call.apply(join_input(n), 0).unwrap());
        call
    }

    fn seats(call: &GroupCall) -> Vec<u32> {
        call.participants
            .iter()
            .map(|member| member.seat.0)
            .collect()
    }

    #[test]
    fn seats_are_given_in_the_order_of_joining_and_never_twice() {
        let mut call = call_with_participants(2);
        assert_eq!(seats(&call), [1, 2]);
        call.apply(GroupCallInput::Leave { user: user(1) }, 1)
            .unwrap();
        call.apply(join_input(1), 2).unwrap();
        assert_eq!(
            seats(&call),
            [2, 3],
            "a participant who rejoins gets a new seat"
        );
        assert_eq!(call.ever_joined, [user(1), user(2)]);
        call.apply(join_input(2), 3).unwrap();
        assert_eq!(seats(&call), [2, 3], "the same client keeps its seat");
    }

    #[test]
    fn a_full_call_rejects_others_and_a_participant_can_always_change_clients() {
        let mut call = call_with_participants(3);
        assert_eq!(
            call.apply(join_input(4), 1),
            Err(GroupCallRejection::Full(3))
        );
        let moved = GroupCallInput::Join {
            user: user(2),
            client: client(20),
            is_guest: false,
        };
        call.apply(moved, 1).unwrap();
        assert_eq!(seats(&call), [1, 3, 4]);
        assert_eq!(call.participant(client(2)), None);
    }

    #[test]
    fn it_ends_with_the_last_who_leaves_and_nothing_follows() {
        let mut call = call_with_participants(2);
        call.apply(GroupCallInput::Leave { user: user(1) }, 1_000)
            .unwrap();
        assert!(!call.is_ended());
        call.apply(GroupCallInput::ClientLeft { client: client(2) }, 5_000)
            .unwrap();
        assert_eq!((call.is_ended(), call.lasted()), (true, Some(5_000)));
        assert_eq!(
            call.apply(join_input(1), 6_000),
            Err(GroupCallRejection::Ended)
        );
    }

    #[test]
    fn a_disconnected_client_may_reconnect_within_the_grace_period() {
        let mut call = call_with_participants(2);
        call.apply(GroupCallInput::ConnectionLost { client: client(1) }, 1_000)
            .unwrap();
        call.apply(GroupCallInput::ConnectionLost { client: client(1) }, 2_000)
            .unwrap();
        assert_eq!(call.deadline(), Some(11_000), "counted from the first loss");
        call.apply(
            GroupCallInput::ClientConnected { client: client(1) },
            10_999,
        )
        .unwrap();
        assert_eq!(call.deadline(), None);
        call.apply(GroupCallInput::ConnectionLost { client: client(1) }, 12_000)
            .unwrap();
        call.apply(GroupCallInput::Timeout, 21_999).unwrap();
        assert_eq!(seats(&call), [1, 2]);
        call.apply(GroupCallInput::Timeout, 22_000).unwrap();
        assert_eq!(seats(&call), [2], "the call continues for the others");
    }

    #[test]
    fn after_a_restart_of_the_server_everybody_has_the_same_grace_period() {
        let mut call = call_with_participants(2).restore(50_000);
        assert_eq!(call.deadline(), Some(60_000));
        call.apply(
            GroupCallInput::ClientConnected { client: client(1) },
            51_000,
        )
        .unwrap();
        call.apply(GroupCallInput::Timeout, 60_000).unwrap();
        assert_eq!(seats(&call), [1]);
    }

    #[test]
    fn guests_are_in_it_for_as_long_as_somebody_of_the_room_is() {
        let guest = |n| GroupCallInput::Join {
            user: user(n),
            client: client(n),
            is_guest: true,
        };
        let mut call = call_with_participants(0);
        assert_eq!(call.apply(guest(9), 0), Err(GroupCallRejection::Ended));
        let mut call = call_with_participants(2);
        call.apply(guest(3), 1).unwrap();
        assert_eq!(call.apply(guest(4), 1), Err(GroupCallRejection::Full(3)));
        call.apply(GroupCallInput::Leave { user: user(1) }, 2)
            .unwrap();
        assert_eq!(seats(&call), [2, 3]);
        call.apply(GroupCallInput::ConnectionLost { client: client(2) }, 3)
            .unwrap();
        assert_eq!(seats(&call), [2, 3], "they may reconnect");
        call.apply(GroupCallInput::Leave { user: user(2) }, 4)
            .unwrap();
        assert!(call.participants.is_empty() && call.is_ended());
        assert_eq!(call.ever_joined, [user(1), user(2), user(3)]);
    }

    #[test]
    fn signals_go_between_two_who_are_in_it_and_nobody_else() {
        let call = call_with_participants(2);
        assert_eq!(
            call.signal_target(client(1), Seat(2)),
            Ok((Seat(1), client(2)))
        );
        for (from, to) in [(1, 1), (1, 9), (9, 1)] {
            assert_eq!(
                call.signal_target(client(from), Seat(to)),
                Err(GroupCallRejection::NotParticipant)
            );
        }
    }
}
