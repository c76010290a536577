//! Identifiers: one newtype each, so that a room's id cannot stand where a user's is meant.
//!
//! All are UUIDs (RFC 9562) and travel as lower-case hyphenated text. Those that the server makes and those
//! that a client makes as idempotency ids are version 7, so they sort by time in the store.

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
    /// Somebody with a session: guest, member, editor or administrator.
    UserId
    /// A public, private or direct room.
    RoomId
    /// A message. Made by the client that sends it (UUIDv7); it is the idempotency id of the send.
    MessageId
    /// A story.
    StoryId
    /// A call. Made by the client that starts it (UUIDv7); it is the idempotency id of the start.
    CallId
    /// One page in one tab, from load to unload. A reconnect keeps it, a reload makes a new one.
    ClientId
    /// A bearer token for publishing.
    TokenId
    /// A link that leads into one call.
    GuestLinkId
}
