//! Guest links of a group call, and the identity of guests.
//!
//! A guest is not a user: their cookie is limited to the link's path, and valid until the call ends or the link is revoked.

use crate::{
    calls::api::types::{GuestLinkSummary, GuestLinkTarget, NewGuestLink},
    model::{
        CallId, GuestLinkId, Millis, UserId, limits,
        user::{Person, Role, UserName},
    },
    protocol::failure::Failure,
    server::{
        AppState, Result, clock, random, session,
        store::{CallGuest, GroupCallRow, GuestLink},
    },
};
use axum::http::{HeaderMap, HeaderValue, header};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};

/// Cookie with the guest's token.
pub const GUEST_COOKIE: &str = "rialto_call_guest";
const GUEST_LINK_PATH: &str = "/call";
/// The token expires with the call.
const GUEST_COOKIE_MAX_AGE: time::Duration = time::Duration::days(7);
const HOUR_MILLIS: Millis = 60 * 60 * 1_000;

/// The guest of the request's cookie, with their token's hash.
///
/// # Errors
/// When the store fails.
pub async fn authenticate_guest(
    app: &AppState,
    headers: &HeaderMap,
) -> Result<Option<(CallGuest, String)>> {
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(GUEST_COOKIE) else {
        return Ok(None);
    };
    let hash = random::sha256_hex(cookie.value());
    let guest = app.store.find_call_guest(&hash).await?;
    Ok(guest.map(|guest| (guest, hash)))
}

/// Resolves a guest link.
///
/// # Errors
/// When the store fails.
pub async fn resolve_guest_link(
    app: &AppState,
    token: &str,
    headers: &HeaderMap,
) -> Result<GuestLinkTarget> {
    let Some(link) = app
        .store
        .find_guest_link(&random::sha256_hex(token))
        .await?
    else {
        return Ok(GuestLinkTarget::Invalid);
    };
    let Some(call) = app.store.find_group_call(link.call).await? else {
        return Ok(GuestLinkTarget::Invalid);
    };
    let Some((slug, title)) = app.store.find_room_slug_and_name(call.room).await? else {
        return Ok(GuestLinkTarget::Invalid);
    };
    let by = link.created_by.name.to_string();
    if let Some(signed) = session::authenticate_user(app, headers).await?
        && app.store.is_member(call.room, signed.person.id).await?
    {
        return Ok(GuestLinkTarget::Member {
            title,
            slug,
            created_by: by,
        });
    }
    // Admitted guests keep access after the link expires.
    if let Some((call_guest, _)) = authenticate_guest(app, headers).await?
        && call_guest.link == link.id
    {
        return Ok(GuestLinkTarget::Guest {
            call: call_guest.call,
            room: call_guest.room,
            name: call_guest.person.name.to_string(),
            title,
            created_by: by,
        });
    }
    if has_expired(&link) {
        return Ok(GuestLinkTarget::Invalid);
    }
    Ok(GuestLinkTarget::Unnamed {
        title,
        created_by: by,
    })
}

fn has_expired(link: &GuestLink) -> bool {
    link.expires_at <= clock::now()
}

/// Admits a guest to a call. Returns the value of `Set-Cookie`.
///
/// # Errors
/// [`Failure::NotFound`] for an invalid link, [`Failure::Invalid`] for an invalid name or too many guests.
pub async fn admit_guest(app: &AppState, token: &str, name: &str) -> Result<HeaderValue> {
    let name = UserName::new(name).map_err(Failure::invalid)?;
    let link = app
        .store
        .find_guest_link(&random::sha256_hex(token))
        .await?;
    let link = link
        .filter(|link| !has_expired(link))
        .ok_or_else(|| Failure::not_found("This guest link"))?;
    let guest = Person {
        id: UserId(random::new_id()),
        name,
        role: Role::Guest,
    };
    let guests = app.store.list_call_guests(link.call).await?;
    if guests.iter().filter(|(by, _)| *by == link.id).count() >= limits::MAX_GUESTS_PER_LINK {
        let reason = "This link has reached its guest limit. Ask for a new one.";
        return Err(Failure::invalid(reason).into());
    }
    let cookie_token = random::new_token();
    app.store
        .create_call_guest(
            &guest,
            &random::sha256_hex(&cookie_token),
            link.id,
            clock::now(),
        )
        .await?;
    let cookie = Cookie::build((GUEST_COOKIE, cookie_token))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.is_https())
        .path(link_path(token))
        .max_age(GUEST_COOKIE_MAX_AGE)
        .build();
    // The cookie is ASCII.
    Ok(HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static("")))
}

/// Only participants may invite guests.
async fn find_call_of_participant(
    app: &AppState,
    person: &Person,
    call: CallId,
) -> Result<GroupCallRow> {
    let row = app.store.find_group_call(call).await?;
    let row = row.filter(|row| {
        let mut members = row.members.iter();
        row.ended_at.is_none() && members.any(|member| member.user == person.id)
    });
    row.ok_or_else(|| {
        let reason = "Only participants can invite guests. Join the call, then try again.";
        let reason = reason.to_owned();
        Failure::NotAllowed { reason }.into()
    })
}

/// Creates a guest link.
///
/// # Errors
/// [`Failure::NotAllowed`] outside the call, [`Failure::Invalid`] for a lifetime out of bounds or too many links.
pub async fn create_link(
    app: &AppState,
    by: &Person,
    call: CallId,
    hours: u32,
) -> Result<NewGuestLink> {
    if !(1..=limits::MAX_GUEST_LINK_HOURS).contains(&hours) {
        let most = limits::MAX_GUEST_LINK_HOURS;
        return Err(Failure::invalid(format!("A link can be valid for 1 to {most} hours.")).into());
    }
    find_call_of_participant(app, by, call).await?;
    let links = app.store.list_guest_links(call).await?;
    if links.iter().filter(|link| !has_expired(link)).count() >= limits::MAX_GUEST_LINKS {
        let reason = "This call has the maximum number of guest links. Revoke one first.";
        return Err(Failure::invalid(reason).into());
    }
    let (token, now) = (random::new_token(), clock::now());
    let link = GuestLink {
        id: GuestLinkId(random::new_id()),
        call,
        created_by: by.clone(),
        created_at: now,
        expires_at: now + Millis::from(hours) * HOUR_MILLIS,
    };
    app.store
        .create_guest_link(&link, &random::sha256_hex(&token))
        .await?;
    Ok(NewGuestLink {
        path: link_path(&token),
        link: summarize_link(link, Vec::new()),
    })
}

/// Tokens are hexadecimal.
fn link_path(token: &str) -> String {
    let token: String = token.chars().filter(char::is_ascii_hexdigit).collect();
    format!("{GUEST_LINK_PATH}/{token}")
}

/// Guest links of a call, newest first; expired ones only if they have guests.
///
/// # Errors
/// [`Failure::NotAllowed`] outside the call.
pub async fn list_links(
    app: &AppState,
    person: &Person,
    call: CallId,
) -> Result<Vec<GuestLinkSummary>> {
    find_call_of_participant(app, person, call).await?;
    let links = app.store.list_guest_links(call).await?;
    let came = app.store.list_call_guests(call).await?;
    let links = links.into_iter().filter_map(|link| {
        let by_it = came.iter().filter(|(by, _)| *by == link.id);
        let guests: Vec<_> = by_it.map(|(_, guest)| guest.name.to_string()).collect();
        (!has_expired(&link) || !guests.is_empty()).then(|| summarize_link(link, guests))
    });
    Ok(links.collect())
}

fn summarize_link(link: GuestLink, guests: Vec<String>) -> GuestLinkSummary {
    GuestLinkSummary {
        id: link.id,
        created_by: link.created_by.name.to_string(),
        expires_at: link.expires_at,
        guests,
    }
}

/// Revokes a guest link, and removes its guests from the call.
///
/// # Errors
/// [`Failure::NotAllowed`] outside the call, [`Failure::NotFound`] for an unknown or revoked link.
pub async fn revoke_link(
    app: &AppState,
    person: &Person,
    call: CallId,
    link: GuestLinkId,
) -> Result<()> {
    find_call_of_participant(app, person, call).await?;
    let guests = app
        .store
        .revoke_guest_link(call, link, clock::now())
        .await?;
    let guests = guests.ok_or_else(|| Failure::not_found("This guest link"))?;
    for token_hash in guests {
        app.connections.close_session(&token_hash);
    }
    Ok(())
}

/// The headers of the current request.
#[must_use]
pub fn request_headers() -> HeaderMap {
    leptos::prelude::use_context::<axum::http::request::Parts>()
        .map(|parts| parts.headers)
        .unwrap_or_default()
}

/// Sets the guest's cookie, and redirects to the link.
pub fn set_cookie_and_redirect(cookie: HeaderValue, token: &str) {
    session::add_header(header::SET_COOKIE, cookie);
    leptos_axum::redirect(&link_path(token));
}
