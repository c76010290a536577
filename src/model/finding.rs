//! Results of diagnostic checks, with advice.

use serde::{Deserialize, Serialize};

/// Result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub verdict: Verdict,
    /// "Relay over UDP".
    #[serde(rename = "what")]
    pub subject: String,
    /// One sentence.
    #[serde(rename = "says")]
    pub observation: String,
    /// One sentence; `None` if there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "todo")]
    pub advice: Option<String>,
}

/// Verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    #[serde(rename = "good")]
    Ok,
    /// Works, but not for everybody; or the check had no result.
    #[serde(rename = "doubtful")]
    Warning,
    #[serde(rename = "wrong")]
    Problem,
}

impl Verdict {
    /// The label shown to users.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "Warning",
            Self::Problem => "Problem",
        }
    }
}

impl Finding {
    /// A finding with [`Verdict::Ok`].
    #[must_use]
    pub fn ok(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            subject: what.into(),
            observation: says.into(),
            advice: None,
        }
    }

    /// A finding with [`Verdict::Warning`].
    #[must_use]
    pub fn warning(
        what: impl Into<String>,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Warning,
            advice: Some(todo.into()),
            ..Self::ok(what, says)
        }
    }

    /// A finding with [`Verdict::Problem`].
    #[must_use]
    pub fn problem(
        what: impl Into<String>,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Problem,
            ..Self::warning(what, says, todo)
        }
    }
}
