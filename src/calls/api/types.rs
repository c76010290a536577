//! Return types of the server functions of calls.

use crate::model::{
    CallId, GuestLinkId, Millis, RoomId,
    call::{Media, Outcome, Side},
    user::Person,
};
use serde::{Deserialize, Serialize};

/// An ended call, as one party sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastCall {
    pub id: CallId,
    #[serde(rename = "with")]
    pub peer: Person,
    pub side: Side,
    pub media: Media,
    pub outcome: Outcome,
    /// Connected time in milliseconds; `None` if it never connected.
    pub lasted: Option<Millis>,
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
        title: String,
        slug: String,
        #[serde(rename = "by")]
        created_by: String,
    },
    /// A call, for a guest without a name yet.
    #[serde(rename = "stranger")]
    Unnamed {
        title: String,
        #[serde(rename = "by")]
        created_by: String,
    },
    /// A call that the guest may join.
    Guest {
        call: CallId,
        room: RoomId,
        name: String,
        title: String,
        #[serde(rename = "by")]
        created_by: String,
    },
}

/// A guest link, as participants see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLinkSummary {
    pub id: GuestLinkId,
    #[serde(rename = "by")]
    pub created_by: String,
    /// When the link stops admitting guests.
    pub expires_at: Millis,
    /// Names, in order of arrival.
    pub guests: Vec<String>,
}

/// A new link. Its URL cannot be retrieved again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGuestLink {
    /// The path within the site.
    pub path: String,
    pub link: GuestLinkSummary,
}
