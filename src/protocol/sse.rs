//! Events of `GET /news/events` (WHATWG HTML, section "Server-sent events").
//!
//! An `id:` is a cursor, which `EventSource` sends back as `Last-Event-ID` when it reconnects. The heartbeat is a comment, which scripts
//! cannot see; with `?beat=true` it is also an event.

use crate::model::{Epoch, Seq};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Event type of [`Hello`].
pub const HELLO_EVENT: &str = "hello";
/// Event type of a [`Story`](crate::model::story::Story).
pub const STORY_EVENT: &str = "story";
/// Event type of [`Heartbeat`].
pub const HEARTBEAT_EVENT: &str = "beat";
/// Event type of [`Resync`].
pub const RESYNC_EVENT: &str = "resync";
/// Longest epoch.
pub const MAX_EPOCH_BYTES: usize = 32;

/// The first event. Its id is the cursor that the stream continues from; none if it cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The next connection's `?epoch=`.
    pub epoch: Epoch,
    /// Newest sequence, or the last of the replay.
    pub head: Seq,
    /// Every event after the cursor follows.
    pub recovered: bool,
    pub build: String,
}

/// At once and then at its interval, with `?beat=true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    #[serde(rename = "seconds")]
    pub interval_seconds: u64,
}

/// The last event: the cursor cannot be resumed, or the client is too far behind. The client fetches the state.
///
/// In the first case its id is the cursor at [`Self::head`]; in the second it has none: the cursor stays valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    pub epoch: Epoch,
    pub head: Seq,
}

/// A cursor as the `id:` of an event: `EPOCH:SEQUENCE`.
#[must_use]
pub fn event_id(epoch: &Epoch, seq: Seq) -> String {
    format!("{}:{seq}", epoch.0)
}

/// A `Last-Event-ID` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEventId {
    /// None in ids of earlier versions, which were bare sequences.
    pub epoch: Option<Epoch>,
    pub seq: Seq,
}

/// Why a text is no id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is an epoch, a colon and a sequence, as in 8f14e45fceea167a:41")]
pub struct InvalidEventId;

impl FromStr for LastEventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let (epoch, seq) = match text.rsplit_once(':') {
            Some((epoch, seq)) => (Some(epoch), seq),
            None => (None, text),
        };
        if epoch.is_some_and(|epoch| epoch.is_empty() || epoch.len() > MAX_EPOCH_BYTES) {
            return Err(InvalidEventId);
        }
        Ok(Self {
            epoch: epoch.map(|epoch| Epoch(epoch.to_owned())),
            seq: parse_seq(seq).ok_or(InvalidEventId)?,
        })
    }
}

/// A sequence in decimal digits; none for a sign or a number that is too large.
#[must_use]
pub fn parse_seq(text: &str) -> Option<Seq> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_as_the_cursor_that_it_was() {
        let epoch = Epoch("8f14e45fceea167a".into());
        let id = event_id(&epoch, 41);
        assert_eq!(id, "8f14e45fceea167a:41");
        let cursor = LastEventId {
            epoch: Some(epoch),
            seq: 41,
        };
        assert_eq!(id.parse(), Ok(cursor));
    }

    #[test]
    fn an_id_of_an_earlier_version_has_no_epoch() {
        let bare = LastEventId {
            epoch: None,
            seq: 41,
        };
        assert_eq!("41".parse(), Ok(bare));
    }

    #[test]
    fn what_is_no_id_is_not_taken_for_one() {
        let long = format!("{}:1", "a".repeat(MAX_EPOCH_BYTES + 1));
        for text in [
            "",
            ":",
            "a:",
            ":1",
            "-1",
            "+1",
            "a:-1",
            "1.5",
            "yesterday",
            "99999999999999999999",
            &long,
        ] {
            assert_eq!(text.parse::<LastEventId>(), Err(InvalidEventId), "{text}");
        }
    }
}
