//! Server functions of calls.

use crate::{
    model::{
        CallId, LinkId, Millis, RoomId,
        call::{IceServer, Media, Outcome, Side},
        user::Person,
    },
    protocol::{failure::Failure, ws::Present},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A call that has ended, as one of the two remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastCall {
    /// Which.
    pub id: CallId,
    /// With whom.
    pub with: Person,
    /// Which side of it the reader was on.
    pub side: Side,
    /// Voice or video.
    pub media: Media,
    /// How it ended.
    pub outcome: Outcome,
    /// How long the two were connected, in milliseconds; none where they never were.
    pub lasted: Option<Millis>,
    /// When it was started.
    pub at: Millis,
}

/// The reader's calls that have ended, the newest first.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "past-calls")]
pub async fn list_past_calls() -> Result<Vec<PastCall>, Failure> {
    let app = crate::server::session::app()?;
    let signed = crate::server::session::required()?;
    Ok(super::server::history::past(&app.store, signed.person.id).await?)
}

/// What the reader's browser may find a path with, to test its connection: the same as in a call, for some minutes.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session.
#[server(prefix = "/fn", endpoint = "ice-servers")]
pub async fn list_ice_servers() -> Result<Vec<IceServer>, Failure> {
    let app = crate::server::session::app()?;
    let signed = crate::server::session::required()?;
    Ok(app.ice_servers(signed.person.id, CallId(uuid::Uuid::nil())))
}

/// Who is here or away at the moment of asking, apart from the reader, by name.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session.
#[server(prefix = "/fn", endpoint = "people-here")]
pub async fn list_people_here() -> Result<Vec<Present>, Failure> {
    let app = crate::server::session::app()?;
    let signed = crate::server::session::required()?;
    let mut people = app.live.people(signed.person.id);
    people.retain(|present| present.person.id != signed.person.id);
    Ok(people)
}

/// What a link for guests leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Invitation {
    /// Nowhere any more: its call is over, it was ended, or its time is up.
    Nowhere,
    /// To a call in a room that the reader is a member of: they need no link.
    Member {
        /// What the room is called.
        title: String,
        /// Its place in the address.
        slug: String,
        /// Who made the link.
        by: String,
    },
    /// To a call, for somebody who has not given a name yet.
    Stranger {
        /// What the room is called.
        title: String,
        /// Who made the link.
        by: String,
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
        by: String,
    },
}

/// What the link with this token leads to.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "invitation")]
pub async fn read_invitation(token: String) -> Result<Invitation, Failure> {
    use super::server::guests;
    let app = crate::server::session::app()?;
    Ok(guests::invitation(&app, &token, &guests::headers()).await?)
}

/// Makes the reader a guest to the call that a link leads to, then shows it.
///
/// # Errors
/// [`Failure::Invalid`] when the name breaks a rule, [`Failure::NotFound`] when the link leads nowhere, [`Failure::TooFast`] after too
/// many tries.
#[server(prefix = "/fn", endpoint = "enter-call")]
pub async fn enter_call(token: String, name: String) -> Result<(), Failure> {
    use super::server::guests;
    let app = crate::server::session::app()?;
    crate::people::server::try_once(&app)?;
    let cookie = guests::enter(&app, &token, &name).await?;
    guests::enter_with(cookie, &token);
    Ok(())
}

/// A link into a call, as those in the call see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLinkSummary {
    /// Which.
    pub id: LinkId,
    /// Who made it.
    pub by: String,
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

/// Makes a link for guests into the call of a room that the reader is in, good for so many hours and no longer than the call.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] for whoever is not in the call, [`Failure::Invalid`] for a time out
/// of bounds or one link too many.
#[server(prefix = "/fn", endpoint = "create-guest-link")]
pub async fn create_guest_link(call: CallId, hours: u32) -> Result<NewGuestLink, Failure> {
    let app = crate::server::session::app()?;
    let signed = crate::server::session::required()?;
    Ok(super::server::guests::create_link(&app, &signed.person, call, hours).await?)
}

/// The links into the call of a room that the reader is in, the newest first.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] for whoever is not in the call.
#[server(prefix = "/fn", endpoint = "guest-links")]
pub async fn list_guest_links(call: CallId) -> Result<Vec<GuestLinkSummary>, Failure> {
    let app = crate::server::session::app()?;
    let signed = crate::server::session::required()?;
    Ok(super::server::guests::list_links(&app, &signed.person, call).await?)
}

/// Ends a link. Whoever came by it is in the call no more.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] for whoever is not in the call, [`Failure::NotFound`] when there is
/// no such link.
#[server(prefix = "/fn", endpoint = "revoke-guest-link")]
pub async fn revoke_guest_link(call: CallId, link: LinkId) -> Result<(), Failure> {
    let app = crate::server::session::app()?;
    let signed = crate::server::session::required()?;
    super::server::guests::revoke_link(&app, &signed.person, call, link).await?;
    Ok(())
}
