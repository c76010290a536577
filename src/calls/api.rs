//! Server functions of calls.

use crate::{
    model::{
        CallId, Millis,
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
