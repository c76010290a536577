//! Answers of people's server functions.

use crate::{
    model::{TokenId, user::Person},
    protocol::failure::Failure,
};
use serde::{Deserialize, Serialize};

/// A publishing token as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSummary {
    pub id: TokenId,
    pub name: String,
    pub used_at: Option<crate::model::Millis>,
    #[serde(rename = "revoked")]
    pub is_revoked: bool,
}

/// What the administration page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminOverview {
    /// Newest first.
    pub people: Vec<Person>,
    /// Newest first.
    pub tokens: Vec<TokenSummary>,
}

/// The failure of a new password without the current one, as from an outdated page.
#[must_use]
pub fn password_exists() -> Failure {
    Failure::invalid("You already have a password. Enter it as the current password.")
}
