//! The nouns of Rialto and their rules: no I/O, no clock, no randomness, compiled for both sides.
//!
//! | module | what it holds |
//! |---|---|
//! | [`backoff`] | how long to wait before connecting again |
//! | [`finding`] | what was found out about a server or a network, and what to do |
//! | [`headlines`] | what a page shows of the news, and what waits |
//! | [`id`] | one newtype an identifier, all `UUIDs` |
//! | [`stream`] | sequence, epoch and cursor of a log, and what a resume is answered |
//! | [`user`] | roles, names, the person others see |
//! | [`room`] | rooms and their summaries |
//! | [`message`] | messages and attachments |
//! | [`story`] | stories, topics, urgency |
//! | [`call`] | the call state machine |
//! | [`outbox`] | what a browser has sent and the server has not acknowledged yet |
//! | [`timeline`] | how a page merges history, live events and the outbox |
//! | [`limits`] | every bound a user can meet |
//! | [`text`] | finding links in plain text |

pub mod backoff;
pub mod call;
pub mod finding;
pub mod headlines;
pub mod id;
pub mod limits;
pub mod message;
pub mod outbox;
pub mod room;
pub mod story;
pub mod stream;
pub mod text_links;
pub mod timeline;
pub mod user;

pub use id::{CallId, ClientId, GuestLinkId, MessageId, RoomId, StoryId, TokenId, UserId};
pub use stream::{Cursor, Epoch, Seq};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. Negative values are before it.
pub type Millis = i64;
