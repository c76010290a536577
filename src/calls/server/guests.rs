//! Guests to one call of a room: the links by which they come, and who they are.
//!
//! A guest is no user. They have a cookie of their own, which browsers send to the address of the link and nowhere else, so nothing of the
//! site but their call can be asked with it. It is good until the call is over or its link is revoked.

use crate::{
    calls::api::{GuestLinkSummary, Invitation, NewGuestLink},
    model::{
        CallId, LinkId, Millis, UserId, limits,
        user::{Person, Role, UserName},
    },
    protocol::failure::Failure,
    server::{
        App, Result, clock, secret, session,
        store::{CallGuest, GroupCallRow, GuestLink},
    },
};
use axum::http::{HeaderMap, HeaderValue, header};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};

/// The cookie that holds a guest's token.
pub const COOKIE: &str = "rialto_call_guest";
/// Where links lead to.
const PATH: &str = "/call";
/// They send it for so long; it is good for as long as the call goes on.
const LIFE: time::Duration = time::Duration::days(7);
const HOUR: Millis = 60 * 60 * 1_000;

/// The guest who is asking, and the hash of their token.
///
/// # Errors
/// When the store fails.
pub async fn signed(app: &App, headers: &HeaderMap) -> Result<Option<(CallGuest, String)>> {
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(COOKIE) else {
        return Ok(None);
    };
    let hash = secret::hash(cookie.value());
    let guest = app.store.find_call_guest(&hash).await?;
    Ok(guest.map(|guest| (guest, hash)))
}

/// What a link leads to, for whoever asks with these headers.
///
/// # Errors
/// When the store fails.
pub async fn invitation(app: &App, token: &str, headers: &HeaderMap) -> Result<Invitation> {
    let Some(link) = app.store.find_guest_link(&secret::hash(token)).await? else {
        return Ok(Invitation::Nowhere);
    };
    let Some(call) = app.store.find_group_call(link.call).await? else {
        return Ok(Invitation::Nowhere);
    };
    let Some((slug, title)) = app.store.find_room_name(call.room).await? else {
        return Ok(Invitation::Nowhere);
    };
    let by = link.by.name.to_string();
    if let Some(signed) = session::signed(app, headers).await?
        && app.store.is_member(call.room, signed.person.id).await?
    {
        return Ok(Invitation::Member { title, slug, by });
    }
    // Whoever came in time stays, also when the link has expired meanwhile.
    if let Some((guest, _)) = signed(app, headers).await?
        && guest.link == link.id
    {
        return Ok(Invitation::Guest {
            call: guest.call,
            room: guest.room,
            name: guest.person.name.to_string(),
            title,
            by,
        });
    }
    if has_expired(&link) {
        return Ok(Invitation::Nowhere);
    }
    Ok(Invitation::Stranger { title, by })
}

fn has_expired(link: &GuestLink) -> bool {
    link.expires_at <= clock::now()
}

/// Makes somebody a guest to the call that a link leads to. The header that sets their cookie.
///
/// # Errors
/// [`Failure::NotFound`] when it leads nowhere any more, [`Failure::Invalid`] when the name breaks a rule.
pub async fn enter(app: &App, token: &str, name: &str) -> Result<HeaderValue> {
    let name = UserName::new(name).map_err(Failure::invalid)?;
    let link = app.store.find_guest_link(&secret::hash(token)).await?;
    let link = link
        .filter(|link| !has_expired(link))
        .ok_or_else(|| Failure::not_found("The call of that link"))?;
    let guest = Person {
        id: UserId(secret::id()),
        name,
        role: Role::Guest,
    };
    let came = app.store.list_call_guests(link.call).await?;
    if came.iter().filter(|(by, _)| *by == link.id).count() >= limits::GUESTS_BY_LINK {
        let reason = "As many people as may have come by this link. Ask for another one.";
        return Err(Failure::invalid(reason).into());
    }
    let cookie = secret::token();
    app.store
        .create_call_guest(&guest, &secret::hash(&cookie), link.id, clock::now())
        .await?;
    let cookie = Cookie::build((COOKIE, cookie))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.is_https())
        .path(address(token))
        .max_age(LIFE)
        .build();
    // A cookie of ours is ASCII: hexadecimal and attribute names.
    Ok(HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static("")))
}

/// The call, if somebody is in it: whoever is may invite guests.
async fn call_of(app: &App, person: &Person, call: CallId) -> Result<GroupCallRow> {
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
pub async fn create_link(app: &App, by: &Person, call: CallId, hours: u32) -> Result<NewGuestLink> {
    if !(1..=limits::GUEST_LINK_HOURS).contains(&hours) {
        let most = limits::GUEST_LINK_HOURS;
        return Err(Failure::invalid(format!("A link is good for 1 to {most} hours.")).into());
    }
    call_of(app, by, call).await?;
    let links = app.store.list_guest_links(call).await?;
    if links.iter().filter(|link| !has_expired(link)).count() >= limits::GUEST_LINKS {
        let reason =
            "There are as many links into this call as there may be. End one of them first.";
        return Err(Failure::invalid(reason).into());
    }
    let (token, now) = (secret::token(), clock::now());
    let link = GuestLink {
        id: LinkId(secret::id()),
        call,
        by: by.clone(),
        created_at: now,
        expires_at: now + Millis::from(hours) * HOUR,
    };
    app.store
        .create_guest_link(&link, &secret::hash(&token))
        .await?;
    Ok(NewGuestLink {
        path: address(&token),
        link: summary(link, Vec::new()),
    })
}

/// Where a link leads to. A token is hexadecimal; whatever else somebody made up is left out.
fn address(token: &str) -> String {
    let token: String = token.chars().filter(char::is_ascii_hexdigit).collect();
    format!("{PATH}/{token}")
}

/// The links into a call that somebody is in, the newest first. Of those whose time is up, those by which somebody came.
///
/// # Errors
/// [`Failure::NotAllowed`] for whoever is not in it.
pub async fn list_links(app: &App, person: &Person, call: CallId) -> Result<Vec<GuestLinkSummary>> {
    call_of(app, person, call).await?;
    let links = app.store.list_guest_links(call).await?;
    let came = app.store.list_call_guests(call).await?;
    let links = links.into_iter().filter_map(|link| {
        let by_it = came.iter().filter(|(by, _)| *by == link.id);
        let guests: Vec<_> = by_it.map(|(_, guest)| guest.name.to_string()).collect();
        (!has_expired(&link) || !guests.is_empty()).then(|| summary(link, guests))
    });
    Ok(links.collect())
}

fn summary(link: GuestLink, guests: Vec<String>) -> GuestLinkSummary {
    GuestLinkSummary {
        id: link.id,
        by: link.by.name.to_string(),
        expires_at: link.expires_at,
        guests,
    }
}

/// Ends a link into a call that somebody is in, and whoever came by it is in the call no more.
///
/// # Errors
/// [`Failure::NotAllowed`] for whoever is not in it, [`Failure::NotFound`] when there is no such link, or it was ended before.
pub async fn revoke_link(app: &App, person: &Person, call: CallId, link: LinkId) -> Result<()> {
    call_of(app, person, call).await?;
    let guests = app
        .store
        .revoke_guest_link(call, link, clock::now())
        .await?;
    let guests = guests.ok_or_else(|| Failure::not_found("That link"))?;
    for token_hash in guests {
        app.live.close_session(&token_hash);
    }
    Ok(())
}

/// For pages and server functions: the headers of the request.
#[must_use]
pub fn headers() -> HeaderMap {
    leptos::prelude::use_context::<axum::http::request::Parts>()
        .map(|parts| parts.headers)
        .unwrap_or_default()
}

/// Sets a guest's cookie, and shows them the page of the link.
pub fn enter_with(cookie: HeaderValue, token: &str) {
    session::add_header(header::SET_COOKIE, cookie);
    leptos_axum::redirect(&address(token));
}
