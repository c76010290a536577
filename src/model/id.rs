//! Identifiers: one newtype each, so that the compiler rejects a room id in place of a user id.
//!
//! All are UUIDs (RFC 9562), serialized as lower-case hyphenated text. Ids made by the server, and those that clients
//! make as idempotency keys, are version 7, so they sort by time in the store.

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
    /// A user (guest, member, editor or administrator), or a guest of one group call.
    UserId
    /// A public or direct room.
    RoomId
    /// A message. Made by the sending client (UUIDv7), as the idempotency key of the send.
    MessageId
    /// A story.
    StoryId
    /// A call. Made by the client that starts it (UUIDv7), as the idempotency key of the start.
    CallId
    /// One page load in one browser tab. A reconnect keeps the id; a reload makes a new one.
    ClientId
    /// A bearer token for publishing.
    TokenId
    /// A link that admits guests to one group call.
    GuestLinkId
}
