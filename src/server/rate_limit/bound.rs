//! The bounds, and what they are unless configured otherwise.

use super::{key::KeyKind, token_buckets::Rate};
use crate::model::limits;
use std::{fmt, time::Duration};

/// How much a key may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Over time.
    Rate(Rate),
    /// At a time.
    AtOnce(u32),
}

/// Not yet known: `serve` sets it.
const BY_OPEN_FILES: u32 = u32::MAX;

/// A bound's name, whom it counts and how much it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// In `--limits`, the metric and `docs/operating.md`.
    pub name: &'static str,
    /// In words, with a leading space.
    pub counts: &'static str,
    pub key: KeyKind,
    pub default: Amount,
}

/// In words: `200 at once, then one every 20 ms`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce(BY_OPEN_FILES) => f.write_str("as the limit of open files allows"),
            Self::AtOnce(most) => write!(f, "{most} at a time"),
            Self::Rate(Rate { burst, refill }) if refill.subsec_millis() == 0 => {
                write!(f, "{burst} at once, then one every {} s", refill.as_secs())
            }
            Self::Rate(Rate { burst, refill }) => {
                write!(
                    f,
                    "{burst} at once, then one every {} ms",
                    refill.as_millis()
                )
            }
        }
    }
}

const fn per_milliseconds(burst: u32, refill: u64) -> Amount {
    Amount::Rate(Rate {
        burst,
        refill: Duration::from_millis(refill),
    })
}

const fn per_seconds(burst: u32, refill: u64) -> Amount {
    per_milliseconds(burst, refill * 1_000)
}

macro_rules! bounds {
    ($(#[doc = $counts:literal] $bound:ident: $name:literal, $key:ident, $default:expr;)*) => {
        /// A bound on what one client takes, in the order of the table in `docs/operating.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Bound {
            $(#[doc = $counts] $bound,)*
        }

        impl Bound {
            /// All bounds, in order.
            pub const ALL: &[Self] = &[$(Self::$bound,)*];

            /// Its row of the table.
            #[must_use]
            pub const fn spec(self) -> Spec {
                match self {
                    $(Self::$bound => Spec {
                        name: $name,
                        counts: $counts,
                        key: KeyKind::$key,
                        default: $default,
                    },)*
                }
            }
        }
    };
}

// The defaults suit a school: a thousand people behind one address, who all come back after an outage.
bounds! {
    /// HTTP requests of any kind.
    Requests: "requests", Address, per_milliseconds(10_000, 2);
    /// Open connections over HTTP, except those of trusted proxies.
    Connections: "connections", Address, Amount::AtOnce(8_192);
    /// Open connections over HTTP, of everybody.
    AllConnections: "all-connections", Total, Amount::AtOnce(BY_OPEN_FILES);
    /// Rendered pages and server functions, of who is not signed in.
    Pages: "pages", Address, per_milliseconds(2_000, 10);
    /// Rendered pages and server functions.
    PersonPages: "person-pages", Person, per_milliseconds(300, 50);
    /// Names, passwords, guest links and claims that are tried.
    SignIns: "sign-ins", Address, per_seconds(60, 2);
    /// Wrong passwords.
    Passwords: "passwords", AccountAt, per_seconds(10, 30);
    /// Wrong passwords, except in browsers that the account knows.
    AccountPasswords: "account-passwords", Account, per_seconds(100, 10);
    /// Streams that are opened, over SSE or WebSocket.
    StreamStarts: "stream-starts", Address, per_milliseconds(2_000, 20);
    /// Streams that are open.
    Streams: "streams", Address, Amount::AtOnce(4_096);
    /// WebSocket connections that are open.
    WebSockets: "websockets", Person, Amount::AtOnce(32);
    /// WebSocket frames; a file's chunks do not count.
    Frames: "frames", Person, per_milliseconds(1_000, 5);
    /// Chunks of files.
    Chunks: "chunks", Person, per_milliseconds(4_000, 4);
    /// Rooms resumed by a cursor.
    Resumes: "resumes", Person, per_milliseconds(300, 20);
    /// Messages and files; a started or joined call counts as one.
    Messages: "messages", Person, per_milliseconds(limits::DEFAULT_SEND_BURST, limits::SEND_REFILL_MS as u64);
    /// Typing indicators that are passed on.
    Typing: "typing", PersonInRoom, per_milliseconds(2, 1_500);
    /// Changes of presence that are passed on at once.
    Presence: "presence", Person, per_seconds(10, 2);
    /// Forms that change something.
    Changes: "changes", Person, per_seconds(30, 2);
    /// New names.
    Renames: "renames", Person, per_seconds(5, 60);
    /// New rooms.
    Rooms: "rooms", Person, per_seconds(20, 30);
    /// New conversations between two.
    Conversations: "conversations", Person, per_seconds(30, 20);
    /// Calls that are started.
    Calls: "calls", Person, per_seconds(20, 10);
    /// Rings of the other; a cancelled one counts twice, a declined one three times.
    Rings: "rings", Pair, per_seconds(6, 20);
    /// Rings of people whom the one who is rung has never written to nor answered.
    StrangersRings: "strangers-rings", Person, per_seconds(10, 20);
    /// Credentials for connection tests.
    Credentials: "credentials", Person, per_seconds(5, 30);
    /// TURN requests of one socket or connection.
    TurnRequests: "turn-requests", Socket, per_milliseconds(200, 50);
    /// Open TURN relays.
    TurnRelays: "turn-relays", Address, Amount::AtOnce(1_000);
    /// Open TURN connections over TCP or TLS.
    TurnConnections: "turn-connections", Address, Amount::AtOnce(512);
    /// Open TURN connections over TCP or TLS, of everybody.
    AllTurnConnections: "all-turn-connections", Total, Amount::AtOnce(4_096);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique() {
        let names: HashSet<&str> = Bound::ALL.iter().map(|bound| bound.spec().name).collect();
        assert_eq!(names.len(), Bound::ALL.len());
    }
}
