//! Rooms.

use super::{
    Epoch, RoomId, Seq, UserId, limits,
    user::{Person, SingleLineError, parse_single_line},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// As [`super::user::UserName`], up to [`limits::MAX_ROOM_NAME_CHARS`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(String);

impl RoomName {
    /// Validates a name.
    ///
    /// # Errors
    ///
    /// [`SingleLineError`] names the violated rule.
    pub fn new(text: &str) -> Result<Self, SingleLineError> {
        parse_single_line(text, limits::MAX_ROOM_NAME_CHARS).map(Self)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RoomName {
    type Error = SingleLineError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> Self {
        name.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who can see a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Everybody with a session.
    Public,
    /// Only the two people in it.
    Direct,
}

impl RoomKind {
    /// The name in the store and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Direct => "direct",
        }
    }
}

/// A room as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSummary {
    pub id: RoomId,
    /// In `/chat/{slug}`: from the name of a public room; the id of a direct room.
    pub slug: String,
    /// In a direct room, the other person's name.
    pub title: String,
    pub kind: RoomKind,
    /// In a direct room.
    #[serde(rename = "with")]
    pub other_person: Option<Person>,
    pub epoch: Epoch,
    /// Newest sequence of the stream.
    pub head: Seq,
    /// Everything up to here is read.
    #[serde(rename = "read")]
    pub read_seq: Seq,
    /// Messages of others; [`MAX_UNREAD_COUNT`](super::limits::MAX_UNREAD_COUNT) means that many or more.
    pub unread: i64,
    /// The user has hidden the direct room, and nothing came since.
    #[serde(default, rename = "hidden", skip_serializing_if = "std::ops::Not::not")]
    pub is_hidden: bool,
}

/// How far a user has read a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadCursor {
    pub seq: Seq,
    /// Messages of others after it; [`MAX_UNREAD_COUNT`](super::limits::MAX_UNREAD_COUNT) means that many or more.
    pub unread: i64,
    /// Newest counted sequence.
    pub head: Seq,
}

/// An event of the memberships stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MembershipEvent {
    Joined {
        room: RoomId,
        room_kind: RoomKind,
        users: Vec<UserId>,
    },
    /// Every user joined a public room.
    AllJoined { room: RoomId },
}

impl MembershipEvent {
    /// The name in the store.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Joined { .. } => "joined",
            Self::AllJoined { .. } => "all_joined",
        }
    }
}
