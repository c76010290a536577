//! Authentication by session cookie or bearer token.

use super::{
    AppState, clock,
    error::Result,
    live::Connection,
    proxy::ClientAddress,
    random,
    store::{StoredSettings, Token, Tx},
};
use crate::{
    model::{
        Millis, UserId,
        user::{Person, PersonalSettings},
    },
    protocol::failure::Failure,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use std::{net::IpAddr, sync::Arc};

/// Cookie with the session token, on a site without https, and from before sites with it had [`SECURE_SESSION_COOKIE`].
pub const SESSION_COOKIE: &str = "rialto_session";
/// With https: a browser takes it only from this host, over https (RFC 6265bis section 4.1.3.2).
pub const SECURE_SESSION_COOKIE: &str = "__Host-rialto_session";
/// In milliseconds.
const SESSION_TTL: Millis = 180 * 24 * 60 * 60 * 1_000;

/// A user with a session.
#[derive(Debug, Clone)]
pub struct SignedInUser {
    pub person: Person,
    pub has_password: bool,
    pub settings: PersonalSettings,
    pub token_hash: String,
}

/// Applies the defaults of the site.
#[must_use]
pub fn personal_settings(app: &AppState, stored: StoredSettings) -> PersonalSettings {
    PersonalSettings {
        calls_from: stored.calls_from,
        relay_only: stored.relay_only.unwrap_or(app.config.turn.relay_only),
        blocked: stored.blocked,
    }
}

/// The token in the session cookie, valid or not.
#[must_use]
pub fn session_token(headers: &HeaderMap) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    let cookie = jar
        .get(SECURE_SESSION_COOKIE)
        .or_else(|| jar.get(SESSION_COOKIE));
    cookie.map(|cookie| cookie.value().to_owned())
}

/// Authenticates by session cookie. None without a valid session.
///
/// # Errors
/// When the store fails.
pub async fn authenticate_user(
    app: &AppState,
    headers: &HeaderMap,
) -> Result<Option<SignedInUser>> {
    let Some(token) = session_token(headers) else {
        return Ok(None);
    };
    let session = random::sha256_hex(&token);
    let found = app.store.find_session(&session, clock::now()).await?;
    Ok(found.map(|found| SignedInUser {
        person: found.person,
        has_password: found.has_password,
        settings: personal_settings(app, found.settings),
        token_hash: session,
    }))
}

/// Current user of a connection to this node, with their settings; none once session, guest link or call has ended.
///
/// # Errors
/// When the store fails.
pub async fn revalidate(
    app: &AppState,
    connection: &Connection,
) -> Result<Option<(Person, PersonalSettings)>> {
    let Some(token_hash) = connection.token_hash() else {
        return Ok(None);
    };
    if connection.guest_of.is_some() {
        let guest = app.store.find_call_guest(token_hash).await?;
        let settings = personal_settings(app, StoredSettings::default());
        return Ok(guest.map(|guest| (guest.person, settings)));
    }
    let found = app.store.find_session(token_hash, clock::now()).await?;
    Ok(found.map(|found| (found.person, personal_settings(app, found.settings))))
}

/// Authenticates by bearer token (RFC 6750).
///
/// # Errors
/// When the store fails; [`Failure::NotAllowed`] without a valid token.
pub async fn authenticate_bearer(app: &AppState, headers: &HeaderMap) -> Result<Token> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            value
                .strip_prefix("Bearer ")
                .or_else(|| value.strip_prefix("bearer "))
        });
    let token = match given {
        Some(token) => {
            app.store
                .use_token(&random::sha256_hex(token.trim()), clock::now())
                .await?
        }
        None => None,
    };
    token.ok_or_else(|| {
        let reason = "A valid token is required: send \"Authorization: Bearer …\" with a token from \"rialto token create\".";
        Failure::NotAllowed { reason: reason.to_owned() }.into()
    })
}

/// Opens a session and returns the header with its cookie.
///
/// # Errors
/// When the store fails.
pub async fn open(app: &AppState, user: UserId) -> Result<HeaderValue> {
    let token = random::new_token();
    let mut tx = app.store.begin().await?;
    create(app, &mut tx, user, &token).await?;
    tx.commit().await?;
    Ok(session_cookie(app, token))
}

/// Creates a session in its user's transaction.
///
/// # Errors
/// When the store fails.
pub async fn create(app: &AppState, tx: &mut Tx, user: UserId, token: &str) -> Result<()> {
    let now = clock::now();
    app.store
        .create_session(tx, &random::sha256_hex(token), user, now, now + SESSION_TTL)
        .await
}

/// `Set-Cookie` value of a session.
#[must_use]
pub fn session_cookie(app: &AppState, token: String) -> HeaderValue {
    set_cookie_value(build_cookie(app, token, SESSION_TTL))
}

/// Ends a session, closes its connections and clears its cookie.
///
/// # Errors
/// When the store fails.
pub async fn close(app: &AppState, signed: &SignedInUser) -> Result<HeaderValue> {
    app.store.delete_session(&signed.token_hash).await?;
    app.connections.close_session(&signed.token_hash);
    Ok(set_cookie_value(build_cookie(app, String::new(), 0)))
}

fn build_cookie(app: &AppState, token: String, life: Millis) -> Cookie<'static> {
    let age = time::Duration::milliseconds(life);
    let name = if app.config.is_https() {
        SECURE_SESSION_COOKIE
    } else {
        SESSION_COOKIE
    };
    Cookie::build((name, token))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.is_https())
        .path("/")
        .max_age(age)
        .build()
}

fn set_cookie_value(cookie: Cookie<'static>) -> HeaderValue {
    // Our cookies are ASCII.
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Server state, from the Leptos context.
///
/// # Errors
/// [`Failure::Unavailable`] outside a request, which is a bug.
pub fn use_app() -> Result<Arc<AppState>, Failure> {
    use_context::<Arc<AppState>>().ok_or(Failure::Unavailable)
}

/// Current user, from the Leptos context.
#[must_use]
pub fn current_user() -> Option<SignedInUser> {
    use_context::<Option<SignedInUser>>().flatten()
}

/// As [`current_user`].
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session.
pub fn require_user() -> Result<SignedInUser, Failure> {
    current_user().ok_or(Failure::NotSignedIn)
}

/// Server state and current user.
///
/// # Errors
/// [`Failure::NotSignedIn`] without a session.
pub fn signed_in() -> Result<(Arc<AppState>, SignedInUser), Failure> {
    Ok((use_app()?, require_user()?))
}

/// A cookie of the current request, from the Leptos context.
#[must_use]
pub fn request_cookie(name: &str) -> Option<String> {
    let parts = use_context::<Parts>()?;
    let jar = CookieJar::from_headers(&parts.headers);
    jar.get(name).map(|cookie| cookie.value().to_owned())
}

/// Address of the client that sent the current request, from the Leptos context.
///
/// # Errors
/// [`Failure::Unavailable`] outside a request, which is a bug.
pub fn client_address() -> Result<IpAddr, Failure> {
    let parts = use_context::<Parts>();
    let address = parts.and_then(|parts| parts.extensions.get::<ClientAddress>().copied());
    address.map(|client| client.0).ok_or(Failure::Unavailable)
}

/// Adds a header to a server function's response.
pub fn add_header(name: HeaderName, value: HeaderValue) {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.append_header(name, value);
    }
}
