//! Error type of server functions.

use serde::{Deserialize, Serialize};
use server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};

/// Why a request failed, as shown to the user; internals are only logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    #[error("Pick a name or sign in first.")]
    NotSignedIn,
    #[error("{reason}")]
    NotAllowed {
        /// Who is permitted.
        reason: String,
    },
    /// Or the user has no access: indistinguishable on purpose.
    #[error("{what} does not exist, or you do not have access to it.")]
    NotFound { what: String },
    #[error("{reason}")]
    Invalid {
        /// The violated rule and what to do.
        reason: String,
    },
    #[error("Too many attempts. Wait a minute, then try again.")]
    #[serde(rename = "too_fast")]
    RateLimited,
    #[error("The server cannot do that right now. Try again later.")]
    Unavailable,
    /// Or its answer could not be read.
    #[error("The server could not be reached. Check your connection, then try again.")]
    Unreachable,
}

impl Failure {
    /// [`Self::Invalid`] with the text of a validation error.
    pub fn invalid(reason: impl std::fmt::Display) -> Self {
        Self::Invalid {
            reason: reason.to_string(),
        }
    }

    /// [`Self::NotFound`] for an object: "That room".
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::NotFound {
            what: what.to_owned(),
        }
    }
}

impl FromServerFnError for Failure {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(_) | ServerFnErrorErr::Deserialization(_) => {
                Self::Unreachable
            }
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) => Self::invalid(
                "A field is missing or has an invalid value. Reload the page, then try again.",
            ),
            _ => Self::Unavailable,
        }
    }
}
