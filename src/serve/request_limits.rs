//! Takes the bounds of each request's entry point before its handler runs.

use super::{refusals::refuse, telemetry::route_label};
use crate::server::{
    AppState, Error,
    proxy::ClientAddress,
    rate_limit::{
        Bound, Charge, EntryPoint, Key,
        entry_points::{self, EntryPointKind},
    },
    session::SignedInUser,
};
use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Meanwhile the connections of an abuser are busy, and use up less of what everybody at their address may take.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// Takes the bounds of the client's address, and tells handlers the address.
pub(super) async fn limit_addresses(
    State(app): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let Some(peer) = peer.map(|peer| peer.0.ip()) else {
        return Error::Internal("a request without an address".to_owned()).into_response();
    };
    let address = app
        .config
        .trusted_proxies
        .client_ip(peer, request.headers());
    request.extensions_mut().insert(ClientAddress(address));
    match take(&app, &request, |entry| entry.before, Key::address(address)) {
        Ok(()) => next.run(request).await,
        Err(refused) => delay(refused).await,
    }
}

/// Takes the bounds of the person who is signed in, or of the address of somebody who is not.
pub(super) async fn limit_visitors(
    State(app): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let signed = request.extensions().get::<Option<SignedInUser>>();
    let address = request.extensions().get::<ClientAddress>();
    let key = match (signed, address) {
        (Some(Some(signed)), _) => Key::Person(signed.person.id),
        (_, Some(client)) => Key::address(client.0),
        (_, None) => {
            return Error::Internal("a request without an address".to_owned()).into_response();
        }
    };
    match take(&app, &request, |entry| entry.visitor, key) {
        Ok(()) => next.run(request).await,
        Err(refused) => delay(refused).await,
    }
}

async fn delay(refused: Box<Response>) -> Response {
    sleep(REFUSAL_DELAY).await;
    *refused
}

/// Takes those of the bounds that count by this key.
fn take(
    app: &AppState,
    request: &Request,
    bounds: impl FnOnce(&EntryPoint) -> &'static [Bound],
    key: Key,
) -> Result<(), Box<Response>> {
    let route = route_label(request.extensions().get::<MatchedPath>());
    let Some(entry) = entry_points::find(EntryPointKind::Route, &route) else {
        let why = format!("the route {route} has no limits");
        return Err(Box::new(Error::Internal(why).into_response()));
    };
    let bounds = bounds(entry).iter().copied();
    let charges = bounds
        .filter(move |bound| bound.spec().key == key.kind())
        .map(move |bound| Charge::new(bound, key));
    let Err(exceeded) = app.limits.take(charges) else {
        return Ok(());
    };
    let refused = refuse(request, StatusCode::TOO_MANY_REQUESTS, exceeded.into());
    Err(Box::new(refused))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::App as Root,
        protocol::ws::ClientFrame,
        server::rate_limit::entry_points::{
            CHUNK_FRAME, ENTRY_POINTS, OTHER_ROUTES, PROGRAM_ROUTE,
        },
    };
    use leptos_axum::{AxumRouteListing, generate_route_list};
    use std::collections::BTreeSet;

    /// Routes that Leptos does not list. A missing one answers 500, so its own test fails.
    const PLAIN_ROUTES: [&str; 9] = [
        PROGRAM_ROUTE,
        OTHER_ROUTES,
        "/healthz",
        "/readyz",
        "/files/{hash}/{name}",
        "/news/events",
        "/ws",
        "/call/{token}/ws",
        "/api/v1/stories",
    ];
    const COMMAND_LINE_ROUTES: [&str; 2] = ["/api/v1/doctor", "/api/v1/users/reconnect"];

    #[tokio::test]
    async fn every_page_and_server_function_has_limits_and_no_other_row_is_left() {
        super::super::page_task::install_executor();
        let listed = ENTRY_POINTS
            .iter()
            .filter(|entry| entry.kind == EntryPointKind::Route);
        let listed: BTreeSet<&str> = listed.map(|entry| entry.name).collect();
        let pages = generate_route_list(Root);
        let functions = server_fn::axum::server_fn_paths().map(|(path, _)| path);
        let mut routes: BTreeSet<&str> = pages.iter().map(AxumRouteListing::path).collect();
        routes.extend(functions);
        routes.extend(PLAIN_ROUTES.iter().chain(&COMMAND_LINE_ROUTES));
        assert_eq!(listed, routes);
    }

    #[test]
    fn every_frame_has_limits_and_no_other_row_is_left() {
        let listed = ENTRY_POINTS
            .iter()
            .filter(|entry| entry.kind == EntryPointKind::Frame);
        let listed: BTreeSet<&str> = listed.map(|entry| entry.name).collect();
        // serde names all types: unknown variant `?`, expected one of `hello`, `ping`, …
        let unknown = serde_json::from_str::<ClientFrame>(r#"{"type":"?"}"#).unwrap_err();
        let words = unknown.to_string();
        let names = words.split('`').skip(1).step_by(2).skip(1);
        let frames: BTreeSet<&str> = names.chain([CHUNK_FRAME]).collect();
        assert_eq!(listed, frames);
    }
}
