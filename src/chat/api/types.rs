//! What the server functions of chat answer with.

use crate::{
    model::{MessageId, message::Message, room::RoomSummary, user::Person},
    protocol::ws::PersonPresence,
};
use serde::{Deserialize, Serialize};

/// One page of a room's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomHistory {
    /// The room as the reader sees it, with the read cursor from before this request.
    pub room: RoomSummary,
    /// Messages, oldest first.
    pub messages: Vec<Message>,
    /// Whether the room has messages before the first one here.
    pub has_older: bool,
    /// Whether this is the newest page, which live messages are appended to.
    #[serde(rename = "newest")]
    pub is_newest: bool,
    /// A fresh message id for the plain HTML form, so that submitting the same form twice posts once.
    #[serde(rename = "post_id")]
    pub form_message_id: MessageId,
}

/// The room list and the presence list, shown beside every room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidebar {
    pub me: Person,
    pub rooms: Vec<RoomSummary>,
    /// People online or away, by name.
    pub people: Vec<PersonPresence>,
}
