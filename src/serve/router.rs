//! Every address, in one table.

use super::{Assets, Systems, context, doctor, functions, kept, observe, ws};
use crate::{
    app::{App as Root, document::shell},
    chat, news,
    server::{App, http},
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

/// All of it.
pub(super) fn router(systems: &Arc<Systems>, options: LeptosOptions, assets: Assets) -> Router {
    let app = systems.app.clone();
    let live = Router::new()
        .route("/ws", get(ws::upgrade))
        .route("/call/{token}/ws", get(ws::upgrade_guest))
        .with_state(systems.clone());
    let plain = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/api/v1/doctor", get(doctor::answer))
        .merge(news::server::router())
        .merge(chat::server::router())
        .with_state(app.clone());
    let router = pages(&app, options, assets)
        .merge(plain)
        .merge(live)
        .layer(middleware::from_fn_with_state(app, observe::observe));
    http::with_manners(router)
}

/// Pages, server functions (`/fn/…`) and the browser's files.
fn pages(app: &Arc<App>, options: LeptosOptions, assets: Assets) -> Router {
    let folder = format!("/{}", options.site_pkg_dir);
    let program = assets.folder(&options);
    let provide = {
        let app = app.clone();
        move || context::provide(&app, &assets)
    };
    let render = {
        let options = options.clone();
        move || shell(options.clone())
    };
    let files = ServeDir::new(format!("{}{folder}", options.site_root))
        .precompressed_br()
        .precompressed_gzip();
    let files = ServiceBuilder::new()
        .layer(lasting(options.hash_files))
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
            news::server::form(
                app.clone(),
                render_app_async_with_context(provide.clone(), render),
            ),
        )
        .fallback(file_and_error_handler_with_context::<LeptosOptions, _>(
            provide, shell,
        ))
        .layer(middleware::from_fn(functions::mend))
        .layer(middleware::from_fn_with_state(
            app.clone(),
            context::identify,
        ))
        .layer(middleware::from_fn_with_state(
            kept::Kept::new(app.clone()),
            kept::keep,
        ))
        .nest_service(&program, files.clone())
        .nest_service(&folder, files)
        .with_state(options)
}

/// A file whose name holds its hash never changes (RFC 8246); without hashes it is asked for again each time. So is one that is not there: while
/// nodes are restarted one after the other, the next one may have it.
fn lasting<B>(
    hashed: bool,
) -> SetResponseHeaderLayer<impl Fn(&Response<B>) -> Option<HeaderValue> + Clone> {
    SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, move |response: &Response<B>| {
        let status = response.status();
        let value = if status.is_client_error() || status.is_server_error() {
            "no-store"
        } else if hashed {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        Some(HeaderValue::from_static(value))
    })
}

/// Whether the store can be read and written; and, in words, whether the bus is there. A node without its bus serves on, and catches up through the
/// store: taken out of the balancer for it, all nodes would be.
async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if let Err(why) = app.store.check().await {
        tracing::error!(%why, "not ready");
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the store cannot be read or written: is the disk full?",
        );
    }
    let connected = app.bus.as_ref().map(|bus| *bus.connected().borrow());
    (
        StatusCode::OK,
        match connected {
            None => "ready",
            Some(true) => "ready, and the bus is there",
            Some(false) => "ready, but the bus is away: what happens at other nodes comes later",
        },
    )
}
