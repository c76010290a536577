//! The HTTP status of a failed server function.

use crate::{
    protocol::failure::Failure,
    server::{Result, error::http_status},
};
use axum::http::StatusCode;
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

/// Converts a server function's result; a failure also sets the status of the response or page.
///
/// # Errors
/// Returns the failure that the error maps to.
pub(in crate::news) fn with_failure_status<T>(done: Result<T>) -> Result<T, Failure> {
    done.map_err(|error| {
        let failure = error.into_failure();
        set_failure_status(&failure);
        failure
    })
}

/// Sets the status of the response. 401 becomes 403, because a 401 requires a `WWW-Authenticate` challenge (RFC 9110
/// section 15.5.2).
pub(super) fn set_failure_status(failure: &Failure) {
    let status = match http_status(failure) {
        StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
        status => status,
    };
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(status);
    }
}
