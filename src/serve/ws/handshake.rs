//! Opening handshake of `WebSockets` (RFC 6455 section 4.2), and access checks.

use super::{Identity, reject_signed_out, run_connection};
use crate::{
    calls::server::guests,
    protocol::{SUBPROTOCOL, failure::Failure},
    serve::Systems,
    server::{Error, Result, http, http_server::Takeover, session},
};
use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use axum_extra::extract::cookie::CookieJar;
use futures::FutureExt;
use std::sync::Arc;
use tungstenite::handshake;

/// `GET /ws`. Requires our origin, a session cookie and our subprotocol.
pub(in crate::serve) async fn upgrade(
    State(systems): State<Arc<Systems>>,
    Extension(connection): Extension<Takeover>,
    request: Request,
) -> Result<Response> {
    check_origin(request.headers())?;
    let signed = session::authenticate_user(&systems.app, request.headers()).await?;
    let who = signed.map(|signed| Identity {
        person: signed.person,
        token_hash: signed.token_hash,
        guest_of: None,
    });
    accept(systems, &connection, request, session::SESSION_COOKIE, who)
}

/// `GET /call/{token}/ws`. As `upgrade`, with a guest cookie; ignores sessions.
pub(in crate::serve) async fn upgrade_guest(
    State(systems): State<Arc<Systems>>,
    Extension(connection): Extension<Takeover>,
    request: Request,
) -> Result<Response> {
    check_origin(request.headers())?;
    let signed = guests::authenticate_guest(&systems.app, request.headers()).await?;
    let who = signed.map(|(guest, token_hash)| Identity {
        person: guest.person,
        token_hash,
        guest_of: Some(guest.call),
    });
    accept(systems, &connection, request, guests::GUEST_COOKIE, who)
}

fn check_origin(headers: &HeaderMap) -> Result<()> {
    if http::is_same_origin(headers) {
        return Ok(());
    }
    let reason = "Only this site's own pages may connect.".to_owned();
    Err(Failure::NotAllowed { reason }.into())
}

/// Accepts a client with an invalid cookie, then closes with a code: browsers hide the HTTP status, and the page would retry forever.
fn accept(
    systems: Arc<Systems>,
    connection: &Takeover,
    request: Request,
    cookie: &str,
    who: Option<Identity>,
) -> Result<Response> {
    if who.is_none()
        && CookieJar::from_headers(request.headers())
            .get(cookie)
            .is_none()
    {
        return Err(Failure::NotSignedIn.into());
    }
    if !offers_subprotocol(request.headers()) {
        return Err(Failure::invalid(format!("The subprotocol must be {SUBPROTOCOL}.")).into());
    }
    let Ok(mut accepted) = handshake::server::create_response(&request.map(drop)) else {
        return Ok(upgrade_required());
    };
    let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
    accepted
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    let mut head = Vec::new();
    handshake::server::write_response(&mut head, &accepted)
        .map_err(|why| Error::Internal(why.to_string()))?;
    // An async block around both would reserve memory for both.
    Ok(connection.take(move |taken| match who {
        Some(who) => run_connection(systems, taken, head.into(), who).left_future(),
        None => reject_signed_out(systems, taken, head.into()).right_future(),
    }))
}

fn offers_subprotocol(headers: &HeaderMap) -> bool {
    let offered = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    offered
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim() == SUBPROTOCOL)
}

/// RFC 9110 section 15.5.22.
fn upgrade_required() -> Response {
    let headers = [
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
    ];
    let words = "This URL accepts only WebSocket connections (version 13).\n";
    (axum::http::StatusCode::UPGRADE_REQUIRED, headers, words).into_response()
}
