//! Errors of the server: logged in full, sent to the user without internals.

use super::http;
use crate::protocol::failure::Failure;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// Result of a fallible server operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A reason that the user may see.
    #[error(transparent)]
    User(#[from] Failure),
    /// An unusable setting; the text says what to do.
    #[error("{0}")]
    InvalidSetting(String),
    #[error("store: {0}")]
    Store(#[from] sqlx::Error),
    #[error("store migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("i/o: {0}")]
    Io(#[from] std::io::Error),
    #[error("files: {0}")]
    Files(#[from] object_store::Error),
    /// Damaged or foreign data in the store.
    #[error("invalid data in the store: {0}")]
    Corrupt(String),
    #[error("bus: {0}")]
    Bus(#[from] super::bus::BusError),
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// An error for unreadable data in the store.
    pub fn corrupt(why: impl std::fmt::Display) -> Self {
        Self::Corrupt(why.to_string())
    }

    /// Failure to send to the user. Logs errors that the user did not cause.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        match self {
            Self::User(failure) => failure,
            Self::InvalidSetting(_)
            | Self::Store(_)
            | Self::Migration(_)
            | Self::Io(_)
            | Self::Files(_)
            | Self::Corrupt(_)
            | Self::Bus(_)
            | Self::Internal(_) => {
                tracing::error!(error = %self, "a request failed");
                Failure::Unavailable
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.into_failure()
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::corrupt(error)
    }
}

/// HTTP status of a failure (RFC 9110).
#[must_use]
pub fn http_status(failure: &Failure) -> StatusCode {
    match failure {
        Failure::NotSignedIn => StatusCode::UNAUTHORIZED,
        Failure::NotAllowed { .. } => StatusCode::FORBIDDEN,
        Failure::NotFound { .. } => StatusCode::NOT_FOUND,
        Failure::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Failure::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Failure::Unavailable | Failure::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The status and `{"failure": …, "message": "in words"}`.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let failure = self.into_failure();
        let mut body = serde_json::to_value(&failure).unwrap_or_default();
        if let Some(body) = body.as_object_mut() {
            body.insert("message".into(), failure.to_string().into());
        }
        let mut response = (http_status(&failure), Json(body)).into_response();
        http::set_retry_after(&mut response, &failure);
        response
    }
}
