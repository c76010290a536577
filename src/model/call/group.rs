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
pub struct Member {
    /// Their place.
    pub seat: Seat,
    /// Who.
    pub user: UserId,
    /// The page on which they are in it.
    pub page: ClientId,
    /// They came by a link, and are in this call and nowhere else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
    /// Since when that page is not connected to the server.
    #[serde(default, skip)]
    pub gone_since: Option<Millis>,
}

/// What a group call begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupStart {
    /// Which call.
    pub id: CallId,
    /// In which room.
    pub room: RoomId,
    /// Who starts it.
    pub by: UserId,
}

/// What is the same for every group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRules {
    /// How many may be in it.
    pub most: usize,
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
    pub members: Vec<Member>,
    /// Everybody who ever was, in the order in which they first joined.
    pub took_part: Vec<UserId>,
    /// The next place.
    pub next_seat: u32,
    rules: GroupRules,
}

/// What happens to a group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupInput {
    /// Somebody joins with a page. Whoever is in it with another page changes to this one.
    Join {
        /// Who.
        user: UserId,
        /// With which page.
        page: ClientId,
        /// By a link, and not as a member of the room.
        guest: bool,
    },
    /// Somebody leaves.
    Leave {
        /// Who.
        user: UserId,
    },
    /// The connection of a page is gone.
    Gone {
        /// Which page.
        page: ClientId,
    },
    /// A page is gone for good.
    Left {
        /// Which page.
        page: ClientId,
    },
    /// A page is connected (again).
    Back {
        /// Which page.
        page: ClientId,
    },
    /// Time has passed.
    Time,
}

/// Why something was not done. The call is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupWrong {
    /// Everybody has left.
    #[error("That call is over.")]
    Over,
    /// As many are in it as may be.
    #[error(
        "{0} people are in this call, and it takes no more. Wait until somebody leaves, then join."
    )]
    Full(usize),
    /// The page is not in the call, or nobody has that place.
    #[error("This page has no part in that call.")]
    NoPart,
}

impl GroupCall {
    /// A call that nobody has joined yet.
    #[must_use]
    pub fn start(start: GroupStart, rules: GroupRules, now: Millis) -> Self {
        Self {
            id: start.id,
            room: start.room,
            started_by: start.by,
            started_at: now,
            ended_at: None,
            members: Vec::new(),
            took_part: Vec::new(),
            next_seat: 1,
            rules,
        }
    }

    /// Goes on with a call after the server was away: every page is, until it connects again.
    #[must_use]
    pub fn restore(mut self, now: Millis) -> Self {
        for member in &mut self.members {
            member.gone_since = Some(now);
        }
        self
    }

    /// Takes something in.
    ///
    /// # Errors
    /// [`GroupWrong`] says why it was not done; the call is as it was.
    pub fn apply(&mut self, input: GroupInput, now: Millis) -> Result<(), GroupWrong> {
        if self.is_over() {
            return Err(GroupWrong::Over);
        }
        match input {
            GroupInput::Join { user, page, guest } => return self.join(user, page, guest),
            GroupInput::Leave { user } => self.members.retain(|member| member.user != user),
            GroupInput::Gone { page } => {
                if let Some(member) = self.member_mut(page) {
                    member.gone_since.get_or_insert(now);
                }
            }
            GroupInput::Left { page } => self.members.retain(|member| member.page != page),
            GroupInput::Back { page } => {
                if let Some(member) = self.member_mut(page) {
                    member.gone_since = None;
                }
            }
            GroupInput::Time => {
                let grace = self.rules.grace;
                let stays = |since: Millis| since + grace > now;
                self.members
                    .retain(|member| member.gone_since.is_none_or(stays));
            }
        }
        // It is the room's call: guests do not stay in it by themselves.
        if self.members.iter().all(|member| member.guest) {
            self.members.clear();
        }
        // One that nobody has joined yet has not begun.
        if self.members.is_empty() && !self.took_part.is_empty() {
            self.ended_at = Some(now);
        }
        Ok(())
    }

    fn join(&mut self, user: UserId, page: ClientId, guest: bool) -> Result<(), GroupWrong> {
        if guest && self.members.is_empty() {
            return Err(GroupWrong::Over);
        }
        if let Some(member) = self.member_mut(page) {
            member.gone_since = None;
            return Ok(());
        }
        let others = self
            .members
            .iter()
            .filter(|member| member.user != user)
            .count();
        if others >= self.rules.most {
            return Err(GroupWrong::Full(self.rules.most));
        }
        self.members.retain(|member| member.user != user);
        self.members.push(Member {
            seat: Seat(self.next_seat),
            user,
            page,
            guest,
            gone_since: None,
        });
        self.next_seat += 1;
        if !self.took_part.contains(&user) {
            self.took_part.push(user);
        }
        Ok(())
    }

    /// Whether everybody has left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended_at.is_some()
    }

    /// When to come back with [`GroupInput::Time`]; none while nothing is waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let gone = self.members.iter().filter_map(|member| member.gone_since);
        gone.min().map(|since| since + self.rules.grace)
    }

    /// Who is in it with this page.
    #[must_use]
    pub fn member(&self, page: ClientId) -> Option<&Member> {
        self.members.iter().find(|member| member.page == page)
    }

    fn member_mut(&mut self, page: ClientId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.page == page)
    }

    /// From which place to which page a signal goes that this page says to a place.
    ///
    /// # Errors
    /// [`GroupWrong::NoPart`] when the page is not in the call, or nobody has that place any more.
    pub fn signal_target(&self, from: ClientId, to: Seat) -> Result<(Seat, ClientId), GroupWrong> {
        let from = self.member(from).ok_or(GroupWrong::NoPart)?;
        let to = self
            .members
            .iter()
            .find(|member| member.seat == to && member.seat != from.seat)
            .ok_or(GroupWrong::NoPart)?;
        Ok((from.seat, to.page))
    }

    /// How long it lasted, in milliseconds; none before its end.
    #[must_use]
    pub fn lasted(&self) -> Option<Millis> {
        Some((self.ended_at? - self.started_at).max(0))
    }

    /// How many may be in it.
    #[must_use]
    pub fn most(&self) -> usize {
        self.rules.most
    }
}

/// A group call as the pages of its room see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Which call.
    pub id: CallId,
    /// In which room.
    pub room: RoomId,
    /// When it was started.
    pub started_at: Millis,
    /// Who is in it, in the order in which they joined. Nobody: it is over.
    pub members: Vec<Seated>,
    /// How many may be in it.
    pub most: usize,
    /// As of when this is, by the server's clock: each change has a later moment than the one before. Two ways lead from the server to a
    /// page, so what is older may come later.
    #[serde(default)]
    pub as_of: Millis,
    /// What this page has to do with it, where that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// Somebody in a group call, as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seated {
    /// Their place.
    pub seat: Seat,
    /// Who. A guest's name is their own word, and may be that of somebody else.
    pub person: Person,
    /// They came by a link, and are in this call and nowhere else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
    /// The server has lost their page, and waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub away: bool,
}

impl Seated {
    /// What they are called: "Ada", or "Ada (guest)".
    #[must_use]
    pub fn shown_name(&self) -> String {
        shown_name(&self.person, self.guest)
    }
}

/// What somebody in a group call is called, so that no guest passes for a member of the community.
#[must_use]
pub fn shown_name(person: &Person, guest: bool) -> String {
    if guest {
        format!("{} (guest)", person.name)
    } else {
        person.name.to_string()
    }
}

/// What a page has to do with a group call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Part {
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

impl GroupView {
    /// Whether everybody has left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.members.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const RULES: GroupRules = GroupRules {
        most: 3,
        grace: 10_000,
    };

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn page(n: u128) -> ClientId {
        ClientId(Uuid::from_u128(n))
    }

    fn join(n: u128) -> GroupInput {
        GroupInput::Join {
            user: user(n),
            page: page(n),
            guest: false,
        }
    }

    fn with(people: u128) -> GroupCall {
        let start = GroupStart {
            id: CallId(Uuid::from_u128(1)),
            room: RoomId(Uuid::from_u128(2)),
            by: user(1),
        };
        let mut call = GroupCall::start(start, RULES, 0);
        (1..=people).for_each(|n| call.apply(join(n), 0).unwrap());
        call
    }

    fn seats(call: &GroupCall) -> Vec<u32> {
        call.members.iter().map(|member| member.seat.0).collect()
    }

    #[test]
    fn places_are_given_in_the_order_of_joining_and_never_twice() {
        let mut call = with(2);
        assert_eq!(seats(&call), [1, 2]);
        call.apply(GroupInput::Leave { user: user(1) }, 1).unwrap();
        call.apply(join(1), 2).unwrap();
        assert_eq!(
            seats(&call),
            [2, 3],
            "whoever comes back is new to the others"
        );
        assert_eq!(call.took_part, [user(1), user(2)]);
        call.apply(join(2), 3).unwrap();
        assert_eq!(seats(&call), [2, 3], "the same page again");
    }

    #[test]
    fn it_takes_as_many_as_may_and_who_is_in_it_can_always_change_the_page() {
        let mut call = with(3);
        assert_eq!(call.apply(join(4), 1), Err(GroupWrong::Full(3)));
        let moved = GroupInput::Join {
            user: user(2),
            page: page(20),
            guest: false,
        };
        call.apply(moved, 1).unwrap();
        assert_eq!(seats(&call), [1, 3, 4]);
        assert_eq!(call.member(page(2)), None);
    }

    #[test]
    fn it_ends_with_the_last_who_leaves_and_nothing_follows() {
        let mut call = with(2);
        call.apply(GroupInput::Leave { user: user(1) }, 1_000)
            .unwrap();
        assert!(!call.is_over());
        call.apply(GroupInput::Left { page: page(2) }, 5_000)
            .unwrap();
        assert_eq!((call.is_over(), call.lasted()), (true, Some(5_000)));
        assert_eq!(call.apply(join(1), 6_000), Err(GroupWrong::Over));
    }

    #[test]
    fn a_page_that_vanishes_may_come_back_in_time() {
        let mut call = with(2);
        call.apply(GroupInput::Gone { page: page(1) }, 1_000)
            .unwrap();
        call.apply(GroupInput::Gone { page: page(1) }, 2_000)
            .unwrap();
        assert_eq!(call.deadline(), Some(11_000), "from when it vanished");
        call.apply(GroupInput::Back { page: page(1) }, 10_999)
            .unwrap();
        assert_eq!(call.deadline(), None);
        call.apply(GroupInput::Gone { page: page(1) }, 12_000)
            .unwrap();
        call.apply(GroupInput::Time, 21_999).unwrap();
        assert_eq!(seats(&call), [1, 2]);
        call.apply(GroupInput::Time, 22_000).unwrap();
        assert_eq!(seats(&call), [2], "the others go on");
    }

    #[test]
    fn after_the_server_was_away_everybody_has_the_same_time_to_come_back() {
        let mut call = with(2).restore(50_000);
        assert_eq!(call.deadline(), Some(60_000));
        call.apply(GroupInput::Back { page: page(1) }, 51_000)
            .unwrap();
        call.apply(GroupInput::Time, 60_000).unwrap();
        assert_eq!(seats(&call), [1]);
    }

    #[test]
    fn guests_are_in_it_for_as_long_as_somebody_of_the_room_is() {
        let guest = |n| GroupInput::Join {
            user: user(n),
            page: page(n),
            guest: true,
        };
        let mut call = with(0);
        assert_eq!(call.apply(guest(9), 0), Err(GroupWrong::Over));
        let mut call = with(2);
        call.apply(guest(3), 1).unwrap();
        assert_eq!(call.apply(guest(4), 1), Err(GroupWrong::Full(3)));
        call.apply(GroupInput::Leave { user: user(1) }, 2).unwrap();
        assert_eq!(seats(&call), [2, 3]);
        call.apply(GroupInput::Gone { page: page(2) }, 3).unwrap();
        assert_eq!(seats(&call), [2, 3], "they may come back");
        call.apply(GroupInput::Leave { user: user(2) }, 4).unwrap();
        assert!(call.members.is_empty() && call.is_over());
        assert_eq!(call.took_part, [user(1), user(2), user(3)]);
    }

    #[test]
    fn signals_go_between_two_who_are_in_it_and_nobody_else() {
        let call = with(2);
        assert_eq!(call.signal_target(page(1), Seat(2)), Ok((Seat(1), page(2))));
        for (from, to) in [(1, 1), (1, 9), (9, 1)] {
            assert_eq!(
                call.signal_target(page(from), Seat(to)),
                Err(GroupWrong::NoPart)
            );
        }
    }
}
