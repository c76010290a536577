//! What was found out about a server or a network, in words that say what to do.

use serde::{Deserialize, Serialize};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What was looked at: "Relay by UDP".
    #[serde(rename = "what")]
    pub subject: String,
    /// What was seen, in one sentence.
    #[serde(rename = "says")]
    pub observation: String,
    /// What to do about it, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "todo")]
    pub advice: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    #[serde(rename = "good")]
    Ok,
    /// It works, and some will have trouble; or it could not be found out.
    #[serde(rename = "doubtful")]
    Warning,
    /// It does not work.
    #[serde(rename = "wrong")]
    Problem,
}

impl Verdict {
    /// "Good", "Look at this", "Wrong".
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "Good",
            Self::Warning => "Look at this",
            Self::Problem => "Wrong",
        }
    }
}

impl Finding {
    /// Something is as it should be.
    #[must_use]
    pub fn ok(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            subject: what.into(),
            observation: says.into(),
            advice: None,
        }
    }

    /// Something is not quite as it should be, and what to do about it.
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

    /// Something does not work, and what to do about it.
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
