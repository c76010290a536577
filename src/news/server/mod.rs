//! News on the server. The store and the event log are in [`crate::server`].
//!
//! | module | contents |
//! |---|---|
//! | `publish` | publishing a story: the only write path |
//! | `markdown` | Markdown to sanitised HTML and a summary |
//! | `service` | read access to the news, for pages and server functions |
//! | `news_cache` | cache of the latest news |
//! | `editor_form` | server functions of the editor's page, and its form without WASM |
//! | `events` | `GET /news/events`: server-sent events |
//! | `stories_api` | `POST /api/v1/stories`: publishing with a token |
//! | `cli` | `rialto news publish` |

pub mod cli;
pub(in crate::news) mod editor_form;
mod events;
mod markdown;
mod news_cache;
mod publish;
pub(in crate::news) mod service;
mod stories_api;
#[cfg(test)]
mod testing;

pub use editor_form::editor_form_route;
pub use events::run_heartbeats;
pub use publish::publish;
pub use service::NewsService;
pub(in crate::news) use service::use_news_service;

use crate::server::AppState;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use std::sync::Arc;

/// Routes that are neither pages nor server functions. The plain form's route is [`editor_form_route`].
pub fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/news/events", get(events::events))
        .route(
            "/api/v1/stories",
            post(stories_api::create_story)
                .layer(DefaultBodyLimit::max(publish::MAX_PUBLISH_REQUEST_BYTES)),
        )
}
