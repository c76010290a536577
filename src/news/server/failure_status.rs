//! The HTTP status of a failed server function.

use crate::{
    protocol::failure::Failure,
    server::{Result, error::http_status},
};
use axum::http::StatusCode;
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

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
pub(super) fn set_failure_status(failure: &Failure) {
    let status = match http_status(failure) {
        StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
        status => status,
    };
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(status);
    }
}
