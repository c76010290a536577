//! What the server functions of calls answer with.

use crate::model::{
    CallId, GuestLinkId, Millis, RoomId,
    call::{Media, Outcome, Side},
    user::Person,
};
use serde::{Deserialize, Serialize};

/// A call that has ended, as one of the two remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastCall {
    /// Which.
    pub id: CallId,
    /// With whom.
    #[serde(rename = "with")]
    pub peer: Person,
    /// Which side of it the reader was on.
    pub side: Side,
    /// Voice or video.
    pub media: Media,
    /// How it ended.
    pub outcome: Outcome,
    /// How long the two were connected, in milliseconds; none where they never were.
    pub lasted: Option<Millis>,
    /// When it was started.
    #[serde(rename = "at")]
    pub started_at: Millis,
}

/// What a link for guests leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum GuestLinkTarget {
    /// Nowhere any more: its call is over, it was ended, or its time is up.
    #[serde(rename = "nowhere")]
    Invalid,
    /// To a call in a room that the reader is a member of: they need no link.
    Member {
        /// What the room is called.
        title: String,
        /// Its place in the address.
        slug: String,
        /// Who made the link.
        #[serde(rename = "by")]
        created_by: String,
    },
    /// To a call, for somebody who has not given a name yet.
    #[serde(rename = "stranger")]
    Unnamed {
        /// What the room is called.
        title: String,
        /// Who made the link.
        #[serde(rename = "by")]
        created_by: String,
    },
    /// To a call that the reader may join.
    Guest {
        /// Which call.
        call: CallId,
        /// In which room.
        room: RoomId,
        /// The name they gave.
        name: String,
        /// What the room is called.
        title: String,
        /// Who made the link.
        #[serde(rename = "by")]
        created_by: String,
    },
}

/// A link into a call, as those in the call see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLinkSummary {
    /// Which.
    pub id: GuestLinkId,
    /// Who made it.
    #[serde(rename = "by")]
    pub created_by: String,
    /// From when on nobody comes by it any more.
    pub expires_at: Millis,
    /// Who came by it, by the names they gave, in the order in which they came.
    pub guests: Vec<String>,
}

/// A link that was just made. Its address is not told again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGuestLink {
    /// The address within the site.
    pub path: String,
    /// What is kept of it.
    pub link: GuestLinkSummary,
}
