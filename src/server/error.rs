//! What can go wrong on the server: logged whole, told to the user in words and without internals.

use crate::protocol::failure::Failure;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// The result of anything that may fail on the server.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that goes wrong on the server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked cannot be done, and the user may know why.
    #[error(transparent)]
    User(#[from] Failure),
    /// The store cannot be used as it is set: says what to do.
    #[error("{0}")]
    InvalidSetting(String),
    /// The store failed.
    #[error("store: {0}")]
    Store(#[from] sqlx::Error),
    /// The store's schema could not be brought up to date.
    #[error("store migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A file or a socket failed.
    #[error("i/o: {0}")]
    Io(#[from] std::io::Error),
    /// What people sent cannot be kept, or read.
    #[error("files: {0}")]
    Files(#[from] object_store::Error),
    /// What the store holds cannot be read: it was written by something else, or damaged.
    #[error("invalid data in the store: {0}")]
    Corrupt(String),
    /// The bus cannot be reached at all: what was set for it is wrong.
    #[error("bus: {0}")]
    Bus(#[from] super::bus::BusError),
    /// A password could not be hashed, or a task was lost.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// What the store holds is not what was written.
    pub fn corrupt(why: impl std::fmt::Display) -> Self {
        Self::Corrupt(why.to_string())
    }

    /// What the user is told. Everything that is not the user's doing is logged here, once, and becomes
    /// [`Failure::Unavailable`].
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

/// The HTTP status that says the same as a failure (RFC 9110).
#[must_use]
pub fn http_status(failure: &Failure) -> StatusCode {
    match failure {
        Failure::NotSignedIn => StatusCode::UNAUTHORIZED,
        Failure::NotAllowed { .. } => StatusCode::FORBIDDEN,
        Failure::NotFound { .. } => StatusCode::NOT_FOUND,
        Failure::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Failure::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Failure::Unavailable | Failure::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Plain routes answer with the status and `{"failure": …, "message": "in words"}`.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let failure = self.into_failure();
        let mut body = serde_json::to_value(&failure).unwrap_or_default();
        if let Some(body) = body.as_object_mut() {
            body.insert("message".into(), failure.to_string().into());
        }
        (http_status(&failure), Json(body)).into_response()
    }
}
