//! What the server functions of people answer with.

use crate::model::{TokenId, user::Person};
use serde::{Deserialize, Serialize};

/// A publishing token as shown to administrators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSummary {
    pub id: TokenId,
    pub name: String,
    /// When it was last used; `None` if never.
    pub used_at: Option<crate::model::Millis>,
    #[serde(rename = "revoked")]
    pub is_revoked: bool,
}

/// The content of the administration page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminOverview {
    /// Users, newest first.
    pub people: Vec<Person>,
    /// Publishing tokens, newest first.
    pub tokens: Vec<TokenSummary>,
}
