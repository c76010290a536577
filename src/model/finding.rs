//! What was found out about a server or a network, in words that say what to do.

use serde::{Deserialize, Serialize};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What was looked at: "Relay by UDP".
    pub what: String,
    /// What was seen, in one sentence.
    pub says: String,
    /// What to do about it, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and some will have trouble; or it could not be found out.
    Doubtful,
    /// It does not work.
    Wrong,
}

impl Verdict {
    /// "Good", "Look at this", "Wrong".
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "Good",
            Self::Doubtful => "Look at this",
            Self::Wrong => "Wrong",
        }
    }
}

impl Finding {
    /// Something is as it should be.
    #[must_use]
    pub fn good(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Good,
            what: what.into(),
            says: says.into(),
            todo: None,
        }
    }

    /// Something is not quite as it should be, and what to do about it.
    #[must_use]
    pub fn doubtful(
        what: impl Into<String>,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Doubtful,
            todo: Some(todo.into()),
            ..Self::good(what, says)
        }
    }

    /// Something does not work, and what to do about it.
    #[must_use]
    pub fn wrong(
        what: impl Into<String>,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Wrong,
            ..Self::doubtful(what, says, todo)
        }
    }
}
