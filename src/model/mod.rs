//! Domain types and rules: no I/O, no clock, no randomness; compiled for the server and the browser.
//!
//! | module | contents |
//! |---|---|
//! | [`backoff`] | delays of retries |
//! | [`call`] | calls between two people and calls of rooms |
//! | [`finding`] | results of diagnostic checks, with advice |
//! | [`headlines`] | the news list of a page and its pending stories |
//! | [`id`] | one newtype per identifier |
//! | [`limits`] | limits that users can meet |
//! | [`message`] | messages and attachments |
//! | [`outbox`] | messages sent but not yet acknowledged |
//! | [`reconnect`] | when a live connection connects again |
//! | [`room`] | rooms and their summaries |
//! | [`story`] | stories and their urgency |
//! | [`stream`] | sequence, epoch and cursor of a log; the resume decision |
//! | [`text_links`] | links in plain text |
//! | [`timeline`] | history, live events and replays of a room, merged |
//! | [`user`] | roles, names, presence |

pub mod backoff;
pub mod call;
pub mod finding;
pub mod headlines;
pub mod id;
pub mod limits;
pub mod message;
pub mod outbox;
pub mod reconnect;
pub mod room;
pub mod story;
pub mod stream;
pub mod text_links;
pub mod timeline;
pub mod user;

pub use id::{CallId, ClientId, GuestLinkId, MessageId, RoomId, StoryId, TokenId, UserId};
pub use stream::{Cursor, Epoch, Seq};

/// A time in milliseconds since 1970-01-01T00:00:00Z (negative before it), or a duration in milliseconds.
pub type Millis = i64;
