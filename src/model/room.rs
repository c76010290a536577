//! Rooms: where messages are.

use super::{
    Epoch, RoomId, Seq, limits,
    user::{Person, SingleLineError, parse_single_line},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A room's name: the rules of [`super::user::UserName`], up to [`limits::ROOM_NAME_CHARS`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(String);

impl RoomName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, SingleLineError> {
        parse_single_line(text, limits::MAX_ROOM_NAME_CHARS).map(Self)
    }

    /// The name as it is shown.
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

/// Who may see a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Everybody with a session.
    Public,
    /// The two people in it, nobody else.
    Direct,
}

impl RoomKind {
    /// The word that the store and the wire use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Direct => "direct",
        }
    }
}

/// A room as one member sees it in the list of rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSummary {
    /// Which room.
    pub id: RoomId,
    /// The last part of its address, `/chat/{slug}`: made from the name for a public room, the id for a direct one.
    pub slug: String,
    /// The name; in a direct room the other person's.
    pub title: String,
    /// Who may see it.
    pub kind: RoomKind,
    /// The other person of a direct room.
    #[serde(rename = "with")]
    pub other_person: Option<Person>,
    /// The epoch of the room's stream.
    pub epoch: Epoch,
    /// The newest sequence of the room's stream.
    pub head: Seq,
    /// Everything up to here has been read by this member.
    #[serde(rename = "read")]
    pub read_seq: Seq,
    /// How many messages of others stand after `read`; [`UNREAD_COUNTED`](super::limits::UNREAD_COUNTED) for that many or more.
    pub unread: i64,
}
