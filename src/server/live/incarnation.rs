//! Which of a client's connections is the newest.

use serde::{Deserialize, Serialize};

/// Number of a client's connection. Its page raises it with each attempt to connect.
///
/// None for a client of a node whose build does not announce the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub Option<u32>);

impl Incarnation {
    /// Whether a connection that arrives now replaces the client's registered one. Of equal ones, the later arrival does.
    #[must_use]
    pub fn replaces(self, registered: Self) -> bool {
        match (self.0, registered.0) {
            (Some(arriving), Some(registered)) => arriving >= registered,
            (Some(_) | None, None) | (None, Some(_)) => true,
        }
    }
}
