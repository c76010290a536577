//! Text frames of `GET /ws`: one JSON object each, with the discriminator `"type"`.
//!
//! The client opens with [`ClientFrame::Hello`]. The server answers with [`ServerFrame::Welcome`], [`ServerFrame::People`] and, per cursor,
//! [`ServerFrame::Resumed`] with the missed events.

use crate::model::{
    CallId, ClientId, Cursor, Epoch, MessageId, Millis, RoomId, Seq,
    call::{CallView, ClientAction, Seat, SignalingMessage, group::GroupCallView},
    limits::Limits,
    message::{MessageText, RoomEvent},
    room::{ReadCursor, RoomSummary},
    user::{Person, PersonalSettings, Presence},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Frame from a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    Hello {
        /// Its newer connection replaces the older one.
        client: ClientId,
        /// Of rooms whose messages the client has.
        #[serde(default)]
        cursors: Vec<RoomCursor>,
        #[serde(default = "default_true")]
        visible: bool,
        /// Higher with each connection: of two, the one with the lower number ends.
        #[serde(default)]
        incarnation: u32,
    },
    /// Heartbeat, answered with [`ServerFrame::Pong`].
    Ping {
        n: u32,
    },
    /// Changes presence.
    Visibility {
        visible: bool,
    },
    /// After a room was fetched or a gap was found.
    Resume {
        #[serde(flatten)]
        cursor: RoomCursor,
    },
    /// Answered with [`ServerFrame::Sent`] after the commit, or [`ServerFrame::Refused`].
    Send {
        /// Idempotency key: a repeated id is answered with its first result.
        id: MessageId,
        room: RoomId,
        text: MessageText,
    },
    /// Announces a file, which follows in binary frames after [`ServerFrame::UploadReady`].
    Upload {
        /// Idempotency key and message id. The same frame resumes the upload.
        id: MessageId,
        room: RoomId,
        /// The server strips folders.
        name: String,
        /// In bytes.
        size: u64,
    },
    UploadCancel {
        id: MessageId,
    },
    /// Up to and including `seq`; never moves back.
    Read {
        room: RoomId,
        seq: Seq,
    },
    /// Sent at most every 3 s; others show it for 5 s.
    Typing {
        room: RoomId,
    },
    Call {
        /// In a start, the idempotency key.
        call: CallId,
        #[serde(flatten)]
        action: ClientAction,
    },
}

fn default_true() -> bool {
    true
}

/// Cursor of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomCursor {
    pub room: RoomId,
    #[serde(flatten)]
    pub cursor: Cursor,
}

/// Frame from the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    Welcome {
        user: Person,
        rooms: Vec<RoomSummary>,
        /// People online or away.
        #[serde(default)]
        crowd: u32,
        #[serde(default)]
        settings: PersonalSettings,
        limits: Limits,
        /// After six intervals without a frame, the server closes the connection.
        #[serde(rename = "heartbeat")]
        heartbeat_ms: u32,
        /// A page of another build reloads once that loses nothing.
        build: String,
    },
    /// Presence list; of a large crowd, the same part for every client.
    ///
    /// A [`ServerFrame::Presence`] follows for each unlisted partner of a direct room.
    People {
        people: Vec<PersonPresence>,
    },
    Pong {
        /// As in the `ping`.
        n: u32,
    },
    /// Answer to a cursor.
    Resumed {
        room: RoomId,
        /// Every event after the cursor follows; if false, the client fetches the room.
        recovered: bool,
        epoch: Epoch,
        /// Newest sequence, or the last of the replay.
        head: Seq,
    },
    Event {
        room: RoomId,
        seq: Seq,
        #[serde(flatten)]
        event: RoomEvent,
    },
    /// A message or file was committed.
    Sent {
        id: MessageId,
        room: RoomId,
        seq: Seq,
        /// Commit time.
        at: Millis,
    },
    /// A message or file was refused, for good except with `too_fast` and `unavailable`.
    Refused(Refusal),
    /// Chunks may follow.
    UploadReady {
        id: MessageId,
        /// Of the next chunk, in bytes.
        offset: u64,
    },
    UploadProgress {
        id: MessageId,
        /// In bytes.
        received: u64,
    },
    /// New to the user, or its summary changed.
    Room {
        room: RoomSummary,
    },
    /// Perhaps on another client.
    Read {
        room: RoomId,
        /// Read up to and including this.
        seq: Seq,
        /// Messages of others after it; 100 means 100 or more.
        unread: i64,
        /// Newest sequence that was counted. None from earlier builds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        head: Option<Seq>,
    },
    Presence {
        #[serde(flatten)]
        entry: PersonPresence,
    },
    /// The user has changed them, perhaps on another client.
    Settings {
        settings: PersonalSettings,
    },
    /// People online or away, while not all are listed.
    Crowd {
        #[serde(rename = "people")]
        count: u32,
    },
    Typing {
        room: RoomId,
        person: Person,
    },
    /// After `welcome` and every change.
    Call {
        call: CallView,
    },
    /// Of the peer.
    Signal {
        call: CallId,
        signal: SignalingMessage,
        /// The sender in a group call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Seat>,
    },
    /// After `welcome` and every change.
    GroupCall {
        group: GroupCallView,
    },
    /// Any other frame was refused. The connection stays open.
    Error(Refusal),
}

/// Why a frame was refused, and what the server could read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: ErrorCode,
    /// Reason and remedy, for the user.
    pub reason: String,
    /// Message or upload; always in [`ServerFrame::Refused`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<FrameReference>,
    /// Milliseconds until a retry may succeed; only with `too_fast` and `unavailable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
}

impl Refusal {
    /// A refusal that names nothing yet.
    #[must_use]
    pub fn new(code: ErrorCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            id: None,
            room: None,
            call: None,
            reference: None,
            retry_after_ms: None,
        }
    }

    /// Sets the wait before a retry, rounded up to milliseconds.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        let millis = wait.as_micros().div_ceil(1_000);
        Self {
            retry_after_ms: Some(u32::try_from(millis).unwrap_or(u32::MAX)),
            ..self
        }
    }
}

/// The client's name for a frame (`ref`), which a refusal repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FrameReference {
    Integer(i64),
    /// At most [`MAX_REFERENCE_BYTES`] if the server sent it.
    Text(String),
}

/// Longest `ref` of text, in UTF-8 bytes; a longer one is ignored.
pub const MAX_REFERENCE_BYTES: usize = 64;

impl ServerFrame {
    /// [`Self::Read`] of a room.
    #[must_use]
    pub fn read(room: RoomId, cursor: ReadCursor) -> Self {
        let ReadCursor { seq, unread, head } = cursor;
        let head = Some(head);
        Self::Read {
            room,
            seq,
            unread,
            head,
        }
    }
}

/// A person with their presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonPresence {
    pub person: Person,
    pub presence: Presence,
}

/// Reason for refusing a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, an unknown type, or an invalid field.
    Malformed,
    /// Only the server may send it.
    ServerOnly,
    TooLarge,
    #[serde(rename = "already_greeted")]
    DuplicateHello,
    /// Or the user is not a member.
    NoSuchRoom,
    /// Or is the caller.
    NoSuchUser,
    /// Or the client is not in it.
    NoSuchCall,
    /// Of the call; or the group call is full.
    WrongState,
    #[serde(rename = "in_a_call")]
    AlreadyInCall,
    /// Guests may not send it.
    NotAllowed,
    /// See the reason.
    Invalid,
    #[serde(rename = "too_fast")]
    RateLimited,
    /// Temporary.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart_by_type() {
        let frame: ClientFrame = serde_json::from_str(r#"{"type":"ping","n":3}"#).unwrap();
        assert_eq!(frame, ClientFrame::Ping { n: 3 });
    }

    #[test]
    fn a_message_that_breaks_the_rules_is_no_frame() {
        let empty = r#"{"type":"send","id":"0198c5f0-0000-7000-8000-000000000000",
            "room":"0198c5f0-0000-7000-8000-000000000001","text":"  "}"#;
        let error = serde_json::from_str::<ClientFrame>(empty).unwrap_err();
        assert!(error.to_string().contains("Write something"), "{error}");
    }
}
