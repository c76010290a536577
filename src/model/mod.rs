//! Domain types and rules, without I/O, clock or randomness, for server and browser.

pub mod backoff;
pub mod call;
pub mod finding;
pub mod headlines;
pub mod id;
pub mod limits;
pub mod message;
pub mod outbox;
pub mod page_clock;
pub mod reconnect;
pub mod room;
pub mod story;
pub mod stream;
pub mod text_limit;
pub mod text_links;
pub mod timeline;
pub mod user;

pub use id::{CallId, ClientId, GuestLinkId, MessageId, RoomId, StoryId, TokenId, UserId};
pub use stream::{Cursor, Epoch, Seq};

/// Milliseconds since 1970-01-01T00:00:00Z (negative before it), or a duration.
pub type Millis = i64;
