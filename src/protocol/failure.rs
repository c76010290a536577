//! Error type of server functions.

use crate::model::limits::format_wait;
use serde::{Deserialize, Serialize};
use server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use std::time::Duration;

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
    #[error("Too many attempts. Wait {}, then try again.", format_wait(*retry_after_ms))]
    #[serde(rename = "too_fast")]
    RateLimited {
        /// Milliseconds until a retry may succeed. None from earlier builds.
        #[serde(default)]
        retry_after_ms: Option<u32>,
    },
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

    /// [`Self::RateLimited`] for this long, rounded up to milliseconds.
    #[must_use]
    pub fn rate_limited(wait: Duration) -> Self {
        let millis = wait.as_micros().div_ceil(1_000);
        Self::RateLimited {
            retry_after_ms: Some(u32::try_from(millis).unwrap_or(u32::MAX)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_says_how_long_to_wait() {
        let failure = Failure::rate_limited(Duration::from_micros(1_999_001));
        let json = serde_json::to_string(&failure).unwrap();
        assert_eq!(json, r#"{"failure":"too_fast","retry_after_ms":2000}"#);
        assert_eq!(
            failure.to_string(),
            "Too many attempts. Wait 2 seconds, then try again."
        );
        let earlier: Failure = serde_json::from_str(r#"{"failure":"too_fast"}"#).unwrap();
        assert_eq!(
            earlier.to_string(),
            "Too many attempts. Wait a minute, then try again."
        );
    }
}
