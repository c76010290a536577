//! HTTP status of a page that shows a failure.

use super::error::http_status;
use crate::protocol::failure::Failure;
use axum::http::StatusCode;
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

/// The status of a page with this failure. 401 becomes 403: it would need a `WWW-Authenticate` challenge (RFC 9110 section 15.5.2).
#[must_use]
pub fn status_of(failure: &Failure) -> StatusCode {
    match http_status(failure) {
        StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
        status => status,
    }
}

/// Sets the page's status.
pub fn set_page_status(failure: &Failure) {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(status_of(failure));
    }
}
