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
pub(in crate::news) mod editor_form;
mod events;
mod markdown;
mod publish;
pub(in crate::news) mod queries;
mod stories_api;
#[cfg(test)]
mod testing;

pub use editor_form::editor_form_route;
pub use events::run_heartbeats;
pub use publish::publish;

use crate::{
    protocol::failure::Failure,
    server::{AppState, Result, error::http_status},
};
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
const MAX_PUBLISH_REQUEST_BYTES: usize = 1024 * 1024;

/// What is neither a page nor a server function. The plain form of the editor's page is [`form`].
pub fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/news/events", get(events::events))
        .route(
            "/api/v1/stories",
            post(stories_api::create_story).layer(DefaultBodyLimit::max(MAX_PUBLISH_REQUEST_BYTES)),
        )
}

/// What a server function answers. A failure is told by the status too, of the page when one is being rendered.
///
/// # Errors
/// What went wrong, in words.
pub(in crate::news) fn with_failure_status<T>(done: Result<T>) -> Result<T, Failure> {
    done.map_err(|error| {
        let failure = error.into_failure();
        set_failure_status(&failure);
        failure
    })
}

/// Gives the answer that is being made the status of a failure. 401 is for those who are told how to authenticate, which a page
/// does in words (RFC 9110 section 15.5.2).
fn set_failure_status(failure: &Failure) {
    let status = match http_status(failure) {
        StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
        status => status,
    };
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(status);
    }
}
