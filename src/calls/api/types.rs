//! Return types of the server functions of calls.

use crate::model::{
    CallId, GuestLinkId, Millis, RoomId,
    call::{Media, Outcome, Side},
    user::Person,
};
use serde::{Deserialize, Serialize};

/// An ended call, as one of its two parties sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastCall {
    /// Id of the call.
    pub id: CallId,
    /// The other person.
    #[serde(rename = "with")]
    pub peer: Person,
    /// The side of the signed-in person.
    pub side: Side,
    /// Voice or video.
    pub media: Media,
    /// The outcome.
    pub outcome: Outcome,
    /// Connected time in milliseconds; `None` if it never connected.
    pub lasted: Option<Millis>,
    /// When it was started.
    #[serde(rename = "at")]
    pub started_at: Millis,
}

/// The target of a guest link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum GuestLinkTarget {
    /// The call is over, or the link was revoked or has expired.
    #[serde(rename = "nowhere")]
    Invalid,
    /// A call in a room of the signed-in person, who needs no link.
    Member {
        /// Name of the room.
        title: String,
        /// Slug of the room in URLs.
        slug: String,
        /// Name of the link's creator.
        #[serde(rename = "by")]
        created_by: String,
    },
    /// A call, for a guest who has not given a name yet.
    #[serde(rename = "stranger")]
    Unnamed {
        /// Name of the room.
        title: String,
        /// Name of the link's creator.
        #[serde(rename = "by")]
        created_by: String,
    },
    /// A call that the guest may join.
    Guest {
        /// Id of the call.
        call: CallId,
        /// Id of the room.
        room: RoomId,
        /// Name given by the guest.
        name: String,
        /// Name of the room.
        title: String,
        /// Name of the link's creator.
        #[serde(rename = "by")]
        created_by: String,
    },
}

/// A guest link, as the participants of the call see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLinkSummary {
    /// Id of the link.
    pub id: GuestLinkId,
    /// Name of its creator.
    #[serde(rename = "by")]
    pub created_by: String,
    /// When the link stops admitting guests.
    pub expires_at: Millis,
    /// Names of its guests, in order of arrival.
    pub guests: Vec<String>,
}

/// A new link. Its URL cannot be retrieved again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGuestLink {
    /// Path of the link within the site.
    pub path: String,
    /// The summary of the link.
    pub link: GuestLinkSummary,
}
