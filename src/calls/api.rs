//! Server functions of calls.

pub(super) mod types;

pub use types::{GuestLinkSummary, GuestLinkTarget, NewGuestLink, PastCall};

use crate::{
    model::{CallId, GuestLinkId, call::IceServer},
    protocol::{failure::Failure, ws::PersonPresence},
};
use leptos::prelude::*;

/// The reader's calls that have ended, the newest first.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "past-calls")]
pub async fn list_past_calls() -> Result<Vec<PastCall>, Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    Ok(super::server::history::list_past_calls(&app.store, signed.person.id).await?)
}

/// What the reader's browser may find a path with, to test its connection: the same as in a call, for some minutes.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session.
#[server(prefix = "/fn", endpoint = "ice-servers")]
pub async fn list_ice_servers() -> Result<Vec<IceServer>, Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    Ok(app.ice_servers(signed.person.id, CallId(uuid::Uuid::nil())))
}

/// Who is here or away at the moment of asking, apart from the reader, by name.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session.
#[server(prefix = "/fn", endpoint = "people-here")]
pub async fn list_present_people() -> Result<Vec<PersonPresence>, Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    let mut people = app.connections.list_presence(signed.person.id);
    people.retain(|present| present.person.id != signed.person.id);
    Ok(people)
}

/// What the link with this token leads to.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "invitation")]
pub async fn resolve_guest_link(token: String) -> Result<GuestLinkTarget, Failure> {
    use super::server::guests;
    let app = crate::server::session::use_app()?;
    Ok(guests::resolve_guest_link(&app, &token, &guests::request_headers()).await?)
}

/// Makes the reader a guest to the call that a link leads to, then shows it.
///
/// # Errors
/// [`Failure::Invalid`] when the name breaks a rule, [`Failure::NotFound`] when the link leads nowhere, [`Failure::TooFast`] after too
/// many tries.
#[server(prefix = "/fn", endpoint = "enter-call")]
pub async fn become_guest(token: String, name: String) -> Result<(), Failure> {
    use super::server::guests;
    let app = crate::server::session::use_app()?;
    crate::people::server::check_sign_in_rate(&app)?;
    let cookie = guests::admit_guest(&app, &token, &name).await?;
    guests::set_cookie_and_redirect(cookie, &token);
    Ok(())
}

/// Makes a link for guests into the call of a room that the reader is in, good for so many hours and no longer than the call.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] for whoever is not in the call, [`Failure::Invalid`] for a time out
/// of bounds or one link too many.
#[server(prefix = "/fn", endpoint = "create-guest-link")]
pub async fn create_guest_link(call: CallId, hours: u32) -> Result<NewGuestLink, Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    Ok(super::server::guests::create_link(&app, &signed.person, call, hours).await?)
}

/// The links into the call of a room that the reader is in, the newest first.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] for whoever is not in the call.
#[server(prefix = "/fn", endpoint = "guest-links")]
pub async fn list_guest_links(call: CallId) -> Result<Vec<GuestLinkSummary>, Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    Ok(super::server::guests::list_links(&app, &signed.person, call).await?)
}

/// Ends a link. Whoever came by it is in the call no more.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] for whoever is not in the call, [`Failure::NotFound`] when there is
/// no such link.
#[server(prefix = "/fn", endpoint = "revoke-guest-link")]
pub async fn revoke_guest_link(call: CallId, link: GuestLinkId) -> Result<(), Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    super::server::guests::revoke_link(&app, &signed.person, call, link).await?;
    Ok(())
}
