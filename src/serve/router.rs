//! Routing table of the server.

use super::{
    Systems, context, doctor, page_cache, page_task, panics, plain_forms, request_bodies,
    request_limits, server_functions, telemetry, ws,
};
use crate::{
    app::{App as Root, document::shell},
    chat, news, people,
    server::{
        AppState,
        assets::{self, Assets},
        http,
    },
};
use axum::{
    Router,
    extract::State,
    http::{HeaderValue, Response, StatusCode, header},
    middleware,
    routing::get,
};
use leptos::config::LeptosOptions;
use leptos_axum::{
    LeptosRoutes, file_and_error_handler_with_context, generate_route_list,
    render_app_async_with_context,
};
use std::sync::Arc;
use tower::ServiceBuilder;
use tower_http::{services::ServeDir, set_header::SetResponseHeaderLayer};

pub(super) fn router(systems: &Arc<Systems>, options: LeptosOptions, assets: Assets) -> Router {
    let app = systems.app.clone();
    let live = Router::new()
        .route("/ws", get(ws::upgrade))
        .route("/call/{token}/ws", get(ws::upgrade_guest))
        .with_state(systems.clone());
    let plain = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/api/v1/doctor", get(doctor::get_findings))
        .merge(news::server::router())
        .merge(chat::server::router())
        .merge(people::role_command::router())
        .with_state(app.clone());
    let router = page_router(systems, options, assets)
        .merge(plain)
        .merge(live)
        .layer(middleware::from_fn(request_bodies::bound_bodies))
        .layer(middleware::from_fn(panics::catch_panics))
        .layer(middleware::from_fn_with_state(
            app.clone(),
            request_limits::limit_addresses,
        ))
        .layer(middleware::from_fn_with_state(
            app,
            telemetry::trace_request,
        ));
    let router = http::with_retry_after(plain_forms::keep_input(router));
    http::with_security(router, &systems.app.origin)
}

/// Pages, server functions (`/fn/…`) and browser files.
fn page_router(systems: &Systems, options: LeptosOptions, assets: Assets) -> Router {
    page_task::install_executor();
    let Systems { app, news, .. } = systems;
    let (program, second_program) = (assets.folder.clone(), assets.second_folder.clone());
    let provide = {
        let (app, news) = (app.clone(), news.clone());
        move || context::provide(&app, &news, &assets)
    };
    let render = {
        let options = options.clone();
        move || shell(options.clone())
    };
    let files = ServeDir::new(format!("{}/{}", options.site_root, options.site_pkg_dir))
        .precompressed_br()
        .precompressed_gzip();
    let files = ServiceBuilder::new()
        .layer(cache_control_layer())
        .service(files);
    Router::new()
        .leptos_routes_with_context(
            &options,
            generate_route_list(Root),
            provide.clone(),
            render.clone(),
        )
        .route(
            "/news/new",
            news::server::editor_form_route(
                app.clone(),
                render_app_async_with_context(provide.clone(), render),
            ),
        )
        .merge(server_functions::reads_by_post(provide.clone()))
        .fallback(file_and_error_handler_with_context::<LeptosOptions, _>(
            provide, shell,
        ))
        .layer(middleware::from_fn(page_task::render_in_one_task))
        .layer(middleware::from_fn(server_functions::fix_status))
        .layer(middleware::from_fn_with_state(
            app.clone(),
            request_limits::limit_visitors,
        ))
        .layer(middleware::from_fn_with_state(
            app.clone(),
            context::authenticate,
        ))
        .layer(middleware::from_fn_with_state(
            page_cache::PageCache::new(news.clone()),
            page_cache::serve_from_cache,
        ))
        .nest_service(&second_program, files.clone())
        .nest_service(&program, files)
        .with_state(options)
}

/// A build's folder never changes (RFC 8246), except under `cargo leptos watch`. Errors are not cached: in a rolling restart the next node
/// may have the file.
fn cache_control_layer<B>()
-> SetResponseHeaderLayer<impl Fn(&Response<B>) -> Option<HeaderValue> + Clone> {
    let is_watched = assets::is_watched();
    SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, move |response: &Response<B>| {
        let status = response.status();
        let value = if status.is_client_error() || status.is_server_error() {
            "no-store"
        } else if is_watched {
            "no-cache"
        } else {
            "public, max-age=31536000, immutable"
        };
        Some(HeaderValue::from_static(value))
    })
}

/// A node without the bus is ready: all nodes catch up through the store.
async fn ready(State(app): State<Arc<AppState>>) -> (StatusCode, &'static str) {
    if let Err(why) = app.store.check().await {
        tracing::error!(%why, "not ready");
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the store cannot be read or written; check the database and the free disk space",
        );
    }
    let connected = app.bus.as_ref().map(|bus| *bus.connected().borrow());
    (
        StatusCode::OK,
        match connected {
            None => "ready",
            Some(true) => "ready, bus connected",
            Some(false) => "ready, bus disconnected: events of other nodes are delayed",
        },
    )
}
