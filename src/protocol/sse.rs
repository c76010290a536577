//! Events of `GET /news/events` (WHATWG HTML, section "Server-sent events").
//!
//! | event | `id:` | data |
//! |---|---|---|
//! | `hello` | none | [`Hello`], once, first |
//! | `story` | the story's sequence | [`crate::model::story::Story`] |
//! | `beat` | none | [`Beat`], at once and then as often as it says; only with `?beat=true` |
//! | `resync` | none | [`Resync`], and the stream ends |
//!
//! A comment (a line that begins with a colon) is sent as a heartbeat. A script cannot see comments, so it asks for `beat` to
//! notice a connection that is dead without having been closed.

use crate::model::{Epoch, Seq};
use serde::{Deserialize, Serialize};

/// The name of the first event.
pub const HELLO_EVENT: &str = "hello";
/// The name of a story's event.
pub const STORY_EVENT: &str = "story";
/// The name of the heartbeat's event.
pub const HEARTBEAT_EVENT: &str = "beat";
/// The name of the event that says: fetch the page anew.
pub const RESYNC_EVENT: &str = "resync";

/// What the stream begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The stream's epoch: to be given back as `?epoch=` on the next connection.
    pub epoch: Epoch,
    /// The stream's newest sequence.
    pub head: Seq,
    /// Whether everything after the cursor that was given follows. Without a cursor there is nothing to recover and this
    /// is true.
    pub recovered: bool,
    /// Which build the server runs; a page of another build should reload when nothing would be lost.
    pub build: String,
}

/// A heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The next one follows after so many seconds.
    #[serde(rename = "seconds")]
    pub interval_seconds: u64,
}

/// The cursor given cannot be resumed from, or the reader fell too far behind: load the page anew, then connect with the
/// cursor it was rendered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    /// The stream's epoch now.
    pub epoch: Epoch,
    /// The stream's newest sequence now.
    pub head: Seq,
}
