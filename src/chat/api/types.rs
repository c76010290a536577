//! Answers of chat's server functions.

use crate::{
    model::{MessageId, message::Message, room::RoomSummary, user::Person},
    protocol::ws::PersonPresence,
};
use serde::{Deserialize, Serialize};

/// One page of a room's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomHistory {
    /// With the read cursor from before this request.
    pub room: RoomSummary,
    /// Oldest first.
    pub messages: Vec<Message>,
    pub has_older: bool,
    /// Whether live messages are appended.
    #[serde(rename = "newest")]
    pub is_newest: bool,
    /// For the plain HTML form: submitting it twice posts once.
    #[serde(rename = "post_id")]
    pub form_message_id: MessageId,
}

/// The room list and the presence list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidebar {
    pub me: Person,
    pub rooms: Vec<RoomSummary>,
    /// Online or away, by name.
    pub people: Vec<PersonPresence>,
}
