//! A call in a room: who is in it, and when it ends.
//!
//! The server alone says who is in it. Everybody in it is connected to everybody else (a mesh): of two, whoever came later makes the offers.
//! It begins with the first who joins and ends with the last who leaves; nobody is rung.
//!
//! Plain data and plain functions, driven like [`super::machine`]. A server that forwards media instead, for calls of many, would take the
//! place of the mesh between the pages; who is in the call would be decided here all the same.

use super::IceServer;
use crate::model::{CallId, ClientId, Millis, RoomId, UserId, user::Person};
use serde::{Deserialize, Serialize};

/// A place in a group call, counted in the order of joining. Nobody ever gets the place of somebody who left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seat(pub u32);

/// Somebody in a group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Their place.
    pub seat: Seat,
    /// Who.
    pub user: UserId,
    /// The page on which they are in it.
    #[serde(rename = "page")]
    pub client: ClientId,
    /// They came by a link, and are in this call and nowhere else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "guest")]
    pub is_guest: bool,
    /// Since when that page is not connected to the server.
    #[serde(default, skip)]
    pub disconnected_since: Option<Millis>,
}

/// What a group call begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCallStart {
    /// Which call.
    pub id: CallId,
    /// In which room.
    pub room: RoomId,
    /// Who starts it.
    pub started_by: UserId,
}

/// What is the same for every group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCallLimits {
    /// How many may be in it.
    pub max_participants: usize,
    /// For a page that vanished to come back, in milliseconds.
    pub grace: Millis,
}

/// A group call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCall {
    /// Which call.
    pub id: CallId,
    /// In which room.
    pub room: RoomId,
    /// Who started it.
    pub started_by: UserId,
    /// When.
    pub started_at: Millis,
    /// When the last one left.
    pub ended_at: Option<Millis>,
    /// Who is in it, in the order in which they joined.
    pub participants: Vec<Participant>,
    /// Everybody who ever was, in the order in which they first joined.
    pub ever_joined: Vec<UserId>,
    /// The next place.
    pub next_seat: u32,
    limits: GroupCallLimits,
}

/// What happens to a group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupCallInput {
    /// Somebody joins with a page. Whoever is in it with another page changes to this one.
    Join {
        /// Who.
        user: UserId,
        /// With which page.
        client: ClientId,
        /// By a link, and not as a member of the room.
        is_guest: bool,
    },
    /// Somebody leaves.
    Leave {
        /// Who.
        user: UserId,
    },
    /// The connection of a page is gone.
    ConnectionLost {
        /// Which page.
        client: ClientId,
    },
    /// A page is gone for good.
    ClientLeft {
        /// Which page.
        client: ClientId,
    },
    /// A page is connected (again).
    ClientConnected {
        /// Which page.
        client: ClientId,
    },
    /// Time has passed.
    Timeout,
}

/// Why something was not done. The call is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupCallRejection {
    /// Everybody has left.
    #[error("That call is over.")]
    Ended,
    /// As many are in it as may be.
    #[error(
        "{0} people are in this call, and it takes no more. Wait until somebody leaves, then join."
    )]
    Full(usize),
    /// The page is not in the call, or nobody has that place.
    #[error("This page has no part in that call.")]
    NotParticipant,
}

impl GroupCall {
    /// A call that nobody has joined yet.
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

    /// Goes on with a call after the server was away: every page is, until it connects again.
    #[must_use]
    pub fn restore(mut self, now: Millis) -> Self {
        for member in &mut self.participants {
            member.disconnected_since = Some(now);
        }
        self
    }

    /// Takes something in.
    ///
    /// # Errors
    /// [`GroupWrong`] says why it was not done; the call is as it was.
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
        // It is the room's call: guests do not stay in it by themselves.
        if self.participants.iter().all(|member| member.is_guest) {
            self.participants.clear();
        }
        // One that nobody has joined yet has not begun.
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

    /// Whether everybody has left.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// When to come back with [`GroupInput::Time`]; none while nothing is waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let gone = self
            .participants
            .iter()
            .filter_map(|member| member.disconnected_since);
        gone.min().map(|since| since + self.limits.grace)
    }

    /// Who is in it with this page.
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

    /// From which place to which page a signal goes that this page says to a place.
    ///
    /// # Errors
    /// [`GroupWrong::NoPart`] when the page is not in the call, or nobody has that place any more.
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

    /// How long it lasted, in milliseconds; none before its end.
    #[must_use]
    pub fn lasted(&self) -> Option<Millis> {
        Some((self.ended_at? - self.started_at).max(0))
    }

    /// How many may be in it.
    #[must_use]
    pub fn max_participants(&self) -> usize {
        self.limits.max_participants
    }
}

/// A group call as the pages of its room see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCallView {
    /// Which call.
    pub id: CallId,
    /// In which room.
    pub room: RoomId,
    /// When it was started.
    pub started_at: Millis,
    /// Who is in it, in the order in which they joined. Nobody: it is over.
    #[serde(rename = "members")]
    pub participants: Vec<ParticipantView>,
    /// How many may be in it.
    #[serde(rename = "most")]
    pub max_participants: usize,
    /// As of when this is, by the server's clock: each change has a later moment than the one before. Two ways lead from the server to a
    /// page, so what is older may come later.
    #[serde(default)]
    pub as_of: Millis,
    /// What this page has to do with it, where that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "part")]
    pub participation: Option<Participation>,
}

/// Somebody in a group call, as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantView {
    /// Their place.
    pub seat: Seat,
    /// Who. A guest's name is their own word, and may be that of somebody else.
    pub person: Person,
    /// They came by a link, and are in this call and nowhere else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "guest")]
    pub is_guest: bool,
    /// The server has lost their page, and waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "away")]
    pub is_disconnected: bool,
}

impl ParticipantView {
    /// What they are called: "Ada", or "Ada (guest)".
    #[must_use]
    pub fn display_name(&self) -> String {
        display_name(&self.person, self.is_guest)
    }
}

/// What somebody in a group call is called, so that no guest passes for a member of the community.
#[must_use]
pub fn display_name(person: &Person, guest: bool) -> String {
    if guest {
        format!("{} (guest)", person.name)
    } else {
        person.name.to_string()
    }
}

/// What a page has to do with a group call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Participation {
    /// It is in it.
    In {
        /// Its place.
        seat: Seat,
        /// Where to find paths to the others (WebRTC 1.0 `RTCIceServer`).
        ice_servers: Vec<IceServer>,
    },
    /// It was, and is no more: its person left, went on with another page, or did not come back in time.
    Out,
}

impl GroupCallView {
    /// Whether everybody has left.
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
            "whoever comes back is new to the others"
        );
        assert_eq!(call.ever_joined, [user(1), user(2)]);
        call.apply(join_input(2), 3).unwrap();
        assert_eq!(seats(&call), [2, 3], "the same page again");
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
        assert_eq!(call.deadline(), Some(11_000), "from when it vanished");
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
        assert_eq!(seats(&call), [2], "the others go on");
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
        assert_eq!(seats(&call), [2, 3], "they may come back");
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
