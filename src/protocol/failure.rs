//! What a server function answers when it cannot do what was asked.

use serde::{Deserialize, Serialize};
use server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};

/// Why something was not done, in words that a user may read. Internals are logged by the server and never sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// Nobody is signed in.
    #[error("Please pick a name or sign in first.")]
    NotSignedIn,
    /// Signed in, but not allowed to.
    #[error("{reason}")]
    NotAllowed {
        /// Who may, in words.
        reason: String,
    },
    /// It does not exist, or is not this user's to see: the two are not told apart.
    #[error("{what} does not exist, or is not yours to see.")]
    NotFound {
        /// What was asked for: "That room".
        what: String,
    },
    /// What was typed breaks a rule.
    #[error("{reason}")]
    Invalid {
        /// Which rule, and what to do.
        reason: String,
    },
    /// Too many tries in too short a time.
    #[error("That was too often. Wait a minute, then try again.")]
    #[serde(rename = "too_fast")]
    RateLimited,
    /// The server could not do it now.
    #[error("The server could not do that just now. Nothing was changed; please try again.")]
    Unavailable,
    /// The server was not reached.
    #[error("The server could not be reached. Check the connection, then try again.")]
    Unreachable,
}

impl Failure {
    /// A rule broken, told by the error that knows it.
    pub fn invalid(reason: impl std::fmt::Display) -> Self {
        Self::Invalid {
            reason: reason.to_string(),
        }
    }

    /// Something that is not there.
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
                "A field was missing or not understood. Reload the page, then try again.",
            ),
            _ => Self::Unavailable,
        }
    }
}
