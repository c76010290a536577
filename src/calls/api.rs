//! Server functions of calls. Reads use `GET`, unless they take or return a secret.

pub(super) mod types;

pub use types::{GuestLinkSummary, GuestLinkTarget, NewGuestLink, PastCall};

#[cfg(feature = "ssr")]
use super::server::{guests, history};
#[cfg(feature = "ssr")]
use crate::server::{
    session::{signed_in, use_app},
    turn::credentials::RelayUser,
};
use crate::{
    model::{CallId, GuestLinkId, call::IceServer},
    protocol::{failure::Failure, ws::PersonPresence},
};
use leptos::prelude::*;
use server_fn::codec::GetUrl;

/// The ended calls of the signed-in person, newest first.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::Unavailable`] when the store fails.
#[server(endpoint = "past-calls", input = GetUrl)]
pub async fn list_past_calls() -> Result<Vec<PastCall>, Failure> {
    let (app, signed) = signed_in()?;
    Ok(history::list_past_calls(&app.store, signed.person.id).await?)
}

/// ICE servers for a connection test, valid for some minutes. A `POST`, so that no other site can have credentials issued.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session.
#[server(endpoint = "ice-servers")]
pub async fn list_ice_servers() -> Result<Vec<IceServer>, Failure> {
    let (app, signed) = signed_in()?;
    Ok(app.ice_servers(RelayUser::testing(signed.person.id)))
}

/// The other people present, by name.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session.
#[server(endpoint = "people-here", input = GetUrl)]
pub async fn list_present_people() -> Result<Vec<PersonPresence>, Failure> {
    let (app, signed) = signed_in()?;
    let mut people = app.connections.list_presence(signed.person.id);
    people.retain(|present| present.person.id != signed.person.id);
    Ok(people)
}

/// The target of a guest link. A `POST`, because proxies log queries and the token is a secret.
///
/// # Errors
/// [`Failure::Unavailable`] when the store fails.
#[server(endpoint = "invitation")]
pub async fn resolve_guest_link(token: String) -> Result<GuestLinkTarget, Failure> {
    let app = use_app()?;
    Ok(guests::resolve_guest_link(&app, &token, &guests::request_headers()).await?)
}

/// Admits a guest, sets their cookie and redirects to the link's page.
///
/// # Errors
/// [`Failure::Invalid`] for an invalid name or too many guests, [`Failure::NotFound`] for an invalid link, [`Failure::RateLimited`] after
/// too many attempts.
#[server(endpoint = "enter-call")]
pub async fn become_guest(token: String, name: String) -> Result<(), Failure> {
    let app = use_app()?;
    let cookie = guests::admit_guest(&app, &token, &name).await?;
    guests::set_cookie_and_redirect(cookie, &token);
    Ok(())
}

/// Creates a guest link to a group call. The link expires after `hours`, or with the call.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] outside the call, [`Failure::Invalid`] for a lifetime out of
/// bounds or too many links.
#[server(endpoint = "create-guest-link")]
pub async fn create_guest_link(call: CallId, hours: u32) -> Result<NewGuestLink, Failure> {
    let (app, signed) = signed_in()?;
    Ok(guests::create_link(&app, &signed.person, call, hours).await?)
}

/// The guest links to a group call, newest first.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] outside the call.
#[server(endpoint = "guest-links", input = GetUrl)]
pub async fn list_guest_links(call: CallId) -> Result<Vec<GuestLinkSummary>, Failure> {
    let (app, signed) = signed_in()?;
    Ok(guests::list_links(&app, &signed.person, call).await?)
}

/// Revokes a guest link, and removes its guests from the call.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session, [`Failure::NotAllowed`] outside the call, [`Failure::NotFound`] for an unknown link.
#[server(endpoint = "revoke-guest-link")]
pub async fn revoke_guest_link(call: CallId, link: GuestLinkId) -> Result<(), Failure> {
    let (app, signed) = signed_in()?;
    guests::revoke_link(&app, &signed.person, call, link).await?;
    Ok(())
}
