//! Error type of server functions.

use serde::{Deserialize, Serialize};
use server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};

/// Why a request failed, with a message for the user; internals are only logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// The request has no session.
    #[error("Pick a name or sign in first.")]
    NotSignedIn,
    /// The user is not permitted to do this.
    #[error("{reason}")]
    NotAllowed {
        /// Who is permitted, as shown to the user.
        reason: String,
    },
    /// The object does not exist or the user has no access: indistinguishable on purpose.
    #[error("{what} does not exist, or you do not have access to it.")]
    NotFound {
        /// The requested object: "That room".
        what: String,
    },
    /// The input violates a rule.
    #[error("{reason}")]
    Invalid {
        /// The violated rule and what to do, as shown to the user.
        reason: String,
    },
    /// The client exceeded a rate limit.
    #[error("Too many attempts. Wait a minute, then try again.")]
    #[serde(rename = "too_fast")]
    RateLimited,
    /// The server failed temporarily.
    #[error("The server cannot do that right now. Nothing was changed. Try again later.")]
    Unavailable,
    /// The client could not reach the server, or not read its answer.
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
