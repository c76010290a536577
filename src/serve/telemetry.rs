//! Request ids, and Prometheus metrics on a separate address.

use super::Systems;
use crate::server::{
    AppState,
    metrics::{ConnectionLabels, OPENMETRICS_MEDIA_TYPE, RequestLabels as Labels},
    prometheus_text::{self, PROMETHEUS_MEDIA_TYPE},
    random,
    rate_limit::{
        Bound,
        entry_points::{OTHER_ROUTES, PROGRAM_ROUTE},
    },
};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use std::{borrow::Cow, sync::Arc, time::Instant};
use tokio::net::TcpListener;
use tracing::Instrument;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Assigns an id, logs within its span and counts the response. Queries may contain secrets and are not logged.
pub(super) async fn trace_request(
    State(app): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let id = random::new_id();
    let method = method_label(request.method());
    let route = route_label(request.extensions().get::<MatchedPath>());
    let span =
        tracing::info_span!("request", %id, method, path = loggable_path(request.uri().path()));
    let began = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    span.in_scope(|| tracing::debug!(status, ?took, "answered"));
    let labels = Labels {
        method,
        route,
        status,
    };
    app.metrics.observe_request(labels, took);
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The part after `/call/` grants access.
fn loggable_path(path: &str) -> &str {
    const GUEST_LINK_PREFIX: &str = "/call/";
    if path.starts_with(GUEST_LINK_PREFIX) {
        GUEST_LINK_PREFIX
    } else {
        path
    }
}

/// Bounds the number of time series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    }
}

/// Bounds the number of time series.
pub(super) fn route_label(matched: Option<&MatchedPath>) -> Cow<'static, str> {
    match matched {
        Some(path) if path.as_str().starts_with("/pkg/") => PROGRAM_ROUTE.into(),
        Some(path) => path
            .as_str()
            .split("/{*")
            .next()
            .unwrap_or_default()
            .to_owned()
            .into(),
        None => OTHER_ROUTES.into(),
    }
}

pub(super) async fn serve_metrics(listener: TcpListener, systems: Arc<Systems>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .with_state(systems);
    if let Err(why) = axum::serve(listener, router).await {
        tracing::error!(%why, "the metrics server has stopped");
    }
}

async fn metrics(State(systems): State<Arc<Systems>>, headers: HeaderMap) -> Response {
    update_gauges(&systems);
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    match systems.app.metrics.encode() {
        Ok(text) if prometheus_text::is_requested(accept.unwrap_or_default()) => (
            [(header::CONTENT_TYPE, PROMETHEUS_MEDIA_TYPE)],
            prometheus_text::from_openmetrics(&text),
        )
            .into_response(),
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS_MEDIA_TYPE)], text).into_response(),
        Err(why) => {
            tracing::error!(%why, "metrics could not be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn update_gauges(systems: &Systems) {
    let (app, metrics) = (&systems.app, &systems.app.metrics);
    let (open, most) = app.limits.usage(Bound::AllConnections);
    metrics.open_connections.set(open.into());
    metrics.max_connections.set(most.into());
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (clients, readers) = (
        app.connections.local_connections(),
        app.news_subscribers.send_queues(),
    );
    for (kind, connections) in [
        (ConnectionLabels::WEBSOCKET, clients.len()),
        (ConnectionLabels::SSE, readers.len()),
    ] {
        let gauge = metrics.connections.get_or_create(&kind);
        gauge.set(count(connections));
    }
    let waiting = clients.iter().map(|page| page.queued_bytes());
    let waiting = waiting.chain(readers.iter().map(|reader| reader.queued_bytes()));
    let (all, most) = waiting.fold((0, 0), |(all, most): (usize, usize), bytes| {
        (all + bytes, most.max(bytes))
    });
    metrics.queue_bytes.set(count(all));
    metrics.queue_bytes_most.set(count(most));
    metrics.people.set(app.connections.crowd().into());
    metrics.set_deliveries(app.flusher.frames_written());
    if let Some(age) = app.backups.age() {
        metrics.set_backup_age(age);
    }
    metrics.calls.set(count(systems.calls.open_call_count()));
    let connected = app
        .bus
        .as_ref()
        .is_some_and(|bus| *bus.connected().borrow());
    metrics.bus_connected.set(connected.into());
}
