//! News on the server. The store and the event log are in [`crate::server`].

pub mod cli;
pub(in crate::news) mod editor_form;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod markdown;
mod news_cache;
mod publish;
pub(in crate::news) mod service;
mod stories_api;
#[cfg(test)]
mod testing;

pub use editor_form::editor_form_route;
pub use events::run_heartbeats;
#[cfg(test)]
pub(crate) use events::serve_on;
pub use publish::{MAX_PUBLISH_REQUEST_BYTES, publish};
pub use service::NewsService;
pub(in crate::news) use service::use_news_service;

use crate::server::AppState;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use std::sync::Arc;

/// Routes besides pages, server functions and [`editor_form_route`].
pub fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/news/events", get(events::events))
        .route(
            "/api/v1/stories",
            post(stories_api::create_story)
                .layer(DefaultBodyLimit::max(publish::MAX_PUBLISH_REQUEST_BYTES)),
        )
}
