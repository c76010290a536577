//! News on the server.
//!
//! | module | what it holds |
//! |---|---|
//! | [`publish`] | the one way in |
//! | [`markdown`] | from what an editor types to what a browser may be given |
//! | [`reading`] | what the pages show |
//! | [`writing`] | the editor's page, also as a plain form |
//! | [`events`] | `GET /news/events` |
//! | [`stories_api`] | `POST /api/v1/stories` |
//! | [`cli`] | `rialto news publish` |

pub mod cli;
mod events;
mod markdown;
mod publish;
pub(in crate::news) mod reading;
mod stories_api;
#[cfg(test)]
mod testing;
pub(in crate::news) mod writing;

pub use publish::publish;
pub use writing::form;

use crate::server::App;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{get, post},
};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use std::sync::Arc;

/// A request to publish has this many bytes at most: the longest body in the widest script, escaped as JSON or as a form.
const REQUEST_BYTES: usize = 1024 * 1024;

/// What is neither a page nor a server function. The plain form of the editor's page is [`form`].
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/news/events", get(events::events))
        .route(
            "/api/v1/stories",
            post(stories_api::create_story).layer(DefaultBodyLimit::max(REQUEST_BYTES)),
        )
}

/// Gives the page or the server function's answer that is being made another status than 200.
fn answer_with(status: StatusCode) {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(status);
    }
}
