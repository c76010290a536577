//! Opening handshake of `WebSockets` (RFC 6455 section 4.2), and access checks.

use super::{Identity, reject, run_connection};
use crate::{
    calls::server::guests,
    protocol::{SUBPROTOCOL, close::CloseCode, failure::Failure},
    serve::Systems,
    server::{
        Error, Result,
        http_server::Takeover,
        proxy::ClientAddress,
        rate_limit::{Bound, Charge, Key, Place},
        session,
    },
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
    Extension(address): Extension<ClientAddress>,
    request: Request,
) -> Result<Response> {
    if let Some(refused) = refuse_foreign(&systems, &connection, &request) {
        return refused;
    }
    let signed = session::authenticate_user(&systems.app, request.headers()).await?;
    let who = signed.map(|signed| Identity {
        person: signed.person,
        token_hash: signed.token_hash,
        guest_of: None,
    });
    let place = take_place(&systems, address, who);
    let has_cookie = session::session_token(request.headers()).is_some();
    accept(systems, &connection, &request, has_cookie, place)
}

/// `GET /call/{token}/ws`. As `upgrade`, with a guest cookie; ignores sessions.
pub(in crate::serve) async fn upgrade_guest(
    State(systems): State<Arc<Systems>>,
    Extension(connection): Extension<Takeover>,
    Extension(address): Extension<ClientAddress>,
    request: Request,
) -> Result<Response> {
    if let Some(refused) = refuse_foreign(&systems, &connection, &request) {
        return refused;
    }
    let signed = guests::authenticate_guest(&systems.app, request.headers()).await?;
    let who = signed.map(|(guest, token_hash)| Identity {
        person: guest.person,
        token_hash,
        guest_of: Some(guest.call),
    });
    let place = take_place(&systems, address, who);
    let jar = CookieJar::from_headers(request.headers());
    let has_cookie = jar.get(guests::GUEST_COOKIE).is_some();
    accept(systems, &connection, &request, has_cookie, place)
}

/// Of a page of another site, or of ours behind a proxy that changes `Host`: only a close code can tell such a page.
fn refuse_foreign(
    systems: &Arc<Systems>,
    connection: &Takeover,
    request: &Request,
) -> Option<Result<Response>> {
    let origin = &systems.app.origin;
    if origin.is_own(request.headers()) {
        return None;
    }
    origin.warn_of_refusal(request.headers());
    let refused = Err(CloseCode::ForeignOrigin);
    Some(take_over(systems.clone(), connection, request, refused))
}

fn take_place(
    systems: &Systems,
    address: ClientAddress,
    who: Option<Identity>,
) -> Result<(Identity, Place), CloseCode> {
    let who = who.ok_or(CloseCode::SignedOut)?;
    let charges = [
        Charge::new(Bound::Streams, Key::address(address.0)),
        Charge::new(Bound::WebSockets, Key::Person(who.person.id)),
    ];
    let place = systems.app.limits.open(charges);
    Ok((who, place.map_err(|_| CloseCode::TryAgainLater)?))
}

/// Accepts a client without a session or a place, then closes with a code: browsers hide the HTTP status.
fn accept(
    systems: Arc<Systems>,
    connection: &Takeover,
    request: &Request,
    has_cookie: bool,
    place: Result<(Identity, Place), CloseCode>,
) -> Result<Response> {
    if place.is_err() && !has_cookie {
        return Err(Failure::NotSignedIn.into());
    }
    take_over(systems, connection, request, place)
}

fn take_over(
    systems: Arc<Systems>,
    connection: &Takeover,
    request: &Request,
    place: Result<(Identity, Place), CloseCode>,
) -> Result<Response> {
    if !offers_subprotocol(request.headers()) {
        return Err(Failure::invalid(format!("The subprotocol must be {SUBPROTOCOL}.")).into());
    }
    let Ok(mut accepted) = handshake::server::create_response(&without_body(request)) else {
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
    Ok(connection.take(move |taken| match place {
        Ok((who, place)) => run_connection(systems, taken, head.into(), who, place).left_future(),
        Err(code) => reject(systems, taken, head.into(), code).right_future(),
    }))
}

fn without_body(request: &Request) -> axum::http::Request<()> {
    let mut head = axum::http::Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
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
