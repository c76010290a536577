//! Events of `GET /news/events` (WHATWG HTML, section "Server-sent events").
//!
//! Only `story` has an `id:`, its sequence. The heartbeat is a comment, which scripts cannot see; with
//! `?beat=true` it is also an event.

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
    /// To pass as `?epoch=` on the next connection.
    pub epoch: Epoch,
    /// Newest sequence, or the last one of the replay.
    pub head: Seq,
    /// Every event after the cursor follows.
    pub recovered: bool,
    /// A page of another build reloads as soon as that loses nothing.
    pub build: String,
}

/// At once and then at its interval, with `?beat=true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Seconds until the next heartbeat.
    #[serde(rename = "seconds")]
    pub interval_seconds: u64,
}

/// The last event: the cursor cannot be resumed, or the client is too far behind, and fetches the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    pub epoch: Epoch,
    /// Newest sequence of the stream.
    pub head: Seq,
}
