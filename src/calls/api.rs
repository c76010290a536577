//! Server functions of calls.

pub(super) mod types;

pub use types::{GuestLinkSummary, GuestLinkTarget, NewGuestLink, PastCall};

use crate::{
    model::{CallId, GuestLinkId, call::IceServer},
    protocol::{failure::Failure, ws::PersonPresence},
};
use leptos::prelude::*;

/// The ended calls of the signed-in person, newest first.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "past-calls")]
pub async fn list_past_calls() -> Result<Vec<PastCall>, Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    Ok(super::server::history::list_past_calls(&app.store, signed.person.id).await?)
}

/// ICE servers for a connection test, the same as in a call. The credentials are valid for some minutes.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session.
#[server(prefix = "/fn", endpoint = "ice-servers")]
pub async fn list_ice_servers() -> Result<Vec<IceServer>, Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    Ok(app.ice_servers(signed.person.id, CallId(uuid::Uuid::nil())))
}

/// The people who are present now, without the signed-in person, by name.
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

/// The target of the guest link with this token.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(prefix = "/fn", endpoint = "invitation")]
pub async fn resolve_guest_link(token: String) -> Result<GuestLinkTarget, Failure> {
    use super::server::guests;
    let app = crate::server::session::use_app()?;
    Ok(guests::resolve_guest_link(&app, &token, &guests::request_headers()).await?)
}

/// Admits a guest to the call of a guest link, sets their cookie and redirects to the link's page.
///
/// # Errors
/// [`Failure::Invalid`] for an invalid name, [`Failure::NotFound`] for an invalid link, [`Failure::RateLimited`] after too many
/// attempts.
#[server(prefix = "/fn", endpoint = "enter-call")]
pub async fn become_guest(token: String, name: String) -> Result<(), Failure> {
    use super::server::guests;
    let app = crate::server::session::use_app()?;
    crate::people::server::check_sign_in_rate(&app)?;
    let cookie = guests::admit_guest(&app, &token, &name).await?;
    guests::set_cookie_and_redirect(cookie, &token);
    Ok(())
}

/// Creates a guest link to a group call of the signed-in person. It expires after `hours`, or with the call.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] for a person who is not in the call,
/// [`Failure::Invalid`] for a lifetime out of bounds or too many links.
#[server(prefix = "/fn", endpoint = "create-guest-link")]
pub async fn create_guest_link(call: CallId, hours: u32) -> Result<NewGuestLink, Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    Ok(super::server::guests::create_link(&app, &signed.person, call, hours).await?)
}

/// The guest links to a group call of the signed-in person, newest first.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] for a person who is not in the call.
#[server(prefix = "/fn", endpoint = "guest-links")]
pub async fn list_guest_links(call: CallId) -> Result<Vec<GuestLinkSummary>, Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    Ok(super::server::guests::list_links(&app, &signed.person, call).await?)
}

/// Revokes a guest link, and removes its guests from the call.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] for a person who is not in the call,
/// [`Failure::NotFound`] for an unknown link.
#[server(prefix = "/fn", endpoint = "revoke-guest-link")]
pub async fn revoke_guest_link(call: CallId, link: GuestLinkId) -> Result<(), Failure> {
    let app = crate::server::session::use_app()?;
    let signed = crate::server::session::require_user()?;
    super::server::guests::revoke_link(&app, &signed.person, call, link).await?;
    Ok(())
}
