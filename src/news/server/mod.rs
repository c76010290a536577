//! News on the server.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@publish`] | publishing a story: the only way |
//! | [`markdown`] | from what an editor types to what a browser may be given |
//! | [`service`] | the news, as pages read them |
//! | [`news_cache`] | the cache of the latest news |
//! | [`editor_form`] | the editor's page, also as a plain form |
//! | [`events`] | `GET /news/events` |
//! | [`stories_api`] | `POST /api/v1/stories` |
//! | [`cli`] | `rialto news publish` |

pub mod cli;
pub(in crate::news) mod editor_form;
mod events;
mod failure_status;
mod markdown;
mod news_cache;
mod publish;
pub(in crate::news) mod service;
mod stories_api;
#[cfg(test)]
mod testing;

pub use editor_form::editor_form_route;
pub use events::run_heartbeats;
pub(in crate::news) use failure_status::with_failure_status;
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

/// What is neither a page nor a server function. The plain form of the editor's page is [`editor_form_route`].
pub fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/news/events", get(events::events))
        .route(
            "/api/v1/stories",
            post(stories_api::create_story)
                .layer(DefaultBodyLimit::max(publish::MAX_PUBLISH_REQUEST_BYTES)),
        )
}
