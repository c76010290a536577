//! Events of `GET /news/events` (WHATWG HTML, section "Server-sent events").
//!
//! | event | `id:` | data |
//! |---|---|---|
//! | `hello` | none | [`Hello`]: the first event, once |
//! | `story` | the story's sequence | [`crate::model::story::Story`] |
//! | `beat` | none | [`Heartbeat`]: at once and then at its interval, only with `?beat=true` |
//! | `resync` | none | [`Resync`]: the last event |
//!
//! A comment (a line that starts with a colon) is the heartbeat. Scripts cannot see it, so they request `beat`.

use crate::model::{Epoch, Seq};
use serde::{Deserialize, Serialize};

/// Type of the event with [`Hello`].
pub const HELLO_EVENT: &str = "hello";
/// Type of the event with a [`Story`](crate::model::story::Story).
pub const STORY_EVENT: &str = "story";
/// Type of the event with [`Heartbeat`].
pub const HEARTBEAT_EVENT: &str = "beat";
/// Type of the event with [`Resync`].
pub const RESYNC_EVENT: &str = "resync";

/// The first event of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Epoch of the stream, to pass as `?epoch=` on the next connection.
    pub epoch: Epoch,
    /// Newest sequence, or the last one of the replay that follows.
    pub head: Seq,
    /// Whether every event after the cursor follows; true without one.
    pub recovered: bool,
    /// Build of the server. A page of another build reloads as soon as that loses nothing.
    pub build: String,
}

/// Heartbeat event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Time until the next heartbeat, in seconds.
    #[serde(rename = "seconds")]
    pub interval_seconds: u64,
}

/// The cursor cannot be resumed, or the client fell too far behind: it fetches the state and connects with its cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    /// Current epoch of the stream.
    pub epoch: Epoch,
    /// Newest sequence of the stream.
    pub head: Seq,
}
