//! Identifiers: UUIDs (RFC 9562) in lower-case hyphenated text. Ids of the server and idempotency keys are version 7 and sort by time.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A user, or a guest of one group call.
    UserId
    /// A public or direct room.
    RoomId
    /// Idempotency key of the sending client.
    MessageId
    /// A story.
    StoryId
    /// Idempotency key of the starting client.
    CallId
    /// One page load in one tab: a reconnect keeps it, a reload does not.
    ClientId
    /// A token for publishing.
    TokenId
    /// A link that admits guests to one group call.
    GuestLinkId
}
