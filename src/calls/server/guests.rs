//! Guests to one call of a room: the links by which they come, and who they are.
//!
//! A guest is no user. They have a cookie of their own, which browsers send to the address of the link and nowhere else, so nothing of the
//! site but their call can be asked with it. It is good until the call is over or its link is revoked.

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

/// The cookie that holds a guest's token.
pub const GUEST_COOKIE: &str = "rialto_call_guest";
/// Where links lead to.
const GUEST_LINK_PATH: &str = "/call";
/// They send it for so long; it is good for as long as the call goes on.
const GUEST_COOKIE_MAX_AGE: time::Duration = time::Duration::days(7);
const HOUR_MILLIS: Millis = 60 * 60 * 1_000;

/// The guest who is asking, and the hash of their token.
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

/// What a link leads to, for whoever asks with these headers.
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
    // Whoever came in time stays, also when the link has expired meanwhile.
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

/// Makes somebody a guest to the call that a link leads to. The header that sets their cookie.
///
/// # Errors
/// [`Failure::NotFound`] when it leads nowhere any more, [`Failure::Invalid`] when the name breaks a rule.
pub async fn admit_guest(app: &AppState, token: &str, name: &str) -> Result<HeaderValue> {
    let name = UserName::new(name).map_err(Failure::invalid)?;
    let link = app
        .store
        .find_guest_link(&random::sha256_hex(token))
        .await?;
    let link = link
        .filter(|link| !has_expired(link))
        .ok_or_else(|| Failure::not_found("The call of that link"))?;
    let guest = Person {
        id: UserId(random::new_id()),
        name,
        role: Role::Guest,
    };
    let guests = app.store.list_call_guests(link.call).await?;
    if guests.iter().filter(|(by, _)| *by == link.id).count() >= limits::MAX_GUESTS_PER_LINK {
        let reason = "As many people as may have come by this link. Ask for another one.";
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
    // A cookie of ours is ASCII: hexadecimal and attribute names.
    Ok(HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static("")))
}

/// The call, if somebody is in it: whoever is may invite guests.
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
        let reason =
            "Only people who are in the call invite guests to it. Join it, then try again.";
        let reason = reason.to_owned();
        Failure::NotAllowed { reason }.into()
    })
}

/// Makes a link into a call that somebody is in.
///
/// # Errors
/// [`Failure::NotAllowed`] for whoever is not in it, [`Failure::Invalid`] for a time that is too short or too long, or one link too many.
pub async fn create_link(
    app: &AppState,
    by: &Person,
    call: CallId,
    hours: u32,
) -> Result<NewGuestLink> {
    if !(1..=limits::MAX_GUEST_LINK_HOURS).contains(&hours) {
        let most = limits::MAX_GUEST_LINK_HOURS;
        return Err(Failure::invalid(format!("A link is good for 1 to {most} hours.")).into());
    }
    find_call_of_participant(app, by, call).await?;
    let links = app.store.list_guest_links(call).await?;
    if links.iter().filter(|link| !has_expired(link)).count() >= limits::MAX_GUEST_LINKS {
        let reason =
            "There are as many links into this call as there may be. End one of them first.";
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

/// Where a link leads to. A token is hexadecimal; whatever else somebody made up is left out.
fn link_path(token: &str) -> String {
    let token: String = token.chars().filter(char::is_ascii_hexdigit).collect();
    format!("{GUEST_LINK_PATH}/{token}")
}

/// The links into a call that somebody is in, the newest first. Of those whose time is up, those by which somebody came.
///
/// # Errors
/// [`Failure::NotAllowed`] for whoever is not in it.
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

/// Ends a link into a call that somebody is in, and whoever came by it is in the call no more.
///
/// # Errors
/// [`Failure::NotAllowed`] for whoever is not in it, [`Failure::NotFound`] when there is no such link, or it was ended before.
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
    let guests = guests.ok_or_else(|| Failure::not_found("That link"))?;
    for token_hash in guests {
        app.connections.close_session(&token_hash);
    }
    Ok(())
}

/// For pages and server functions: the headers of the request.
#[must_use]
pub fn request_headers() -> HeaderMap {
    leptos::prelude::use_context::<axum::http::request::Parts>()
        .map(|parts| parts.headers)
        .unwrap_or_default()
}

/// Sets a guest's cookie, and shows them the page of the link.
pub fn set_cookie_and_redirect(cookie: HeaderValue, token: &str) {
    session::add_header(header::SET_COOKIE, cookie);
    leptos_axum::redirect(&link_path(token));
}
