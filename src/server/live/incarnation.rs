//! Which of a client's connections is the newest.

use serde::{Deserialize, Serialize};

/// Number of a client's connection, which its page raises with each attempt to connect.
///
/// None from a node of an earlier build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub Option<u32>);

impl Incarnation {
    /// Whether an arriving connection replaces the client's registered one; of equal ones, it does.
    #[must_use]
    pub fn replaces(self, registered: Self) -> bool {
        match (self.0, registered.0) {
            (Some(arriving), Some(registered)) => arriving >= registered,
            (Some(_) | None, None) | (None, Some(_)) => true,
        }
    }
}
