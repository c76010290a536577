//! Text frames of `GET /ws`: one JSON object each, with the discriminator `"type"`.
//!
//! The client opens with [`ClientFrame::Hello`]. The server answers with [`ServerFrame::Welcome`],
//! [`ServerFrame::People`] and, per cursor, [`ServerFrame::Resumed`] with the missed events. After that, both send at
//! any time.

use crate::model::{
    CallId, ClientId, Cursor, Epoch, MessageId, Millis, RoomId, Seq,
    call::{CallView, ClientAction, Seat, SignalingMessage, group::GroupCallView},
    limits::Limits,
    message::{MessageText, RoomEvent},
    room::RoomSummary,
    user::{Person, Presence},
};
use serde::{Deserialize, Serialize};

/// Frame from a client to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame of every connection.
    Hello {
        /// A newer connection with the same id replaces the older one.
        client: ClientId,
        /// One for each room whose messages the client has.
        #[serde(default)]
        cursors: Vec<RoomCursor>,
        /// Whether the page is visible.
        #[serde(default = "default_true")]
        visible: bool,
    },
    /// Heartbeat, answered with [`ServerFrame::Pong`].
    Ping {
        /// Any number; the answer repeats it.
        n: u32,
    },
    /// The page became visible or hidden, which changes presence.
    Visibility { visible: bool },
    /// Resume a room after its page was fetched or a gap was found. Answered with [`ServerFrame::Resumed`].
    Resume {
        #[serde(flatten)]
        cursor: RoomCursor,
    },
    /// Post a message. Answered with [`ServerFrame::Sent`] after the commit, or [`ServerFrame::Refused`].
    Send {
        /// Idempotency key: a repeated id is answered with its first result.
        id: MessageId,
        room: RoomId,
        text: MessageText,
    },
    /// Announce a file, whose bytes follow in binary frames. Answered with [`ServerFrame::UploadReady`],
    /// [`ServerFrame::Sent`] if already committed, or [`ServerFrame::Refused`].
    Upload {
        /// Idempotency key and id of the message. The same frame resumes the upload.
        id: MessageId,
        room: RoomId,
        /// The server strips folders.
        name: String,
        /// Size of the file, in bytes.
        size: u64,
    },
    /// Cancel an upload.
    UploadCancel { id: MessageId },
    /// Mark a room as read up to and including `seq`; never moves back.
    Read { room: RoomId, seq: Seq },
    /// The user is typing. Sent at most every 3 s; others show it for 5 s.
    Typing { room: RoomId },
    /// An action about a call.
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

/// Frame from the server to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// Answer to `hello`.
    Welcome {
        /// The user of the session.
        user: Person,
        /// Rooms of which the user is a member.
        rooms: Vec<RoomSummary>,
        /// People who are online or away.
        #[serde(default)]
        crowd: u32,
        limits: Limits,
        /// Milliseconds. The server closes the connection after six intervals without a frame.
        #[serde(rename = "heartbeat")]
        heartbeat_ms: u32,
        /// Build of the server. A page of another build reloads as soon as that loses nothing.
        build: String,
    },
    /// Presence list; a large crowd is cut to the same subset for every client.
    ///
    /// A [`ServerFrame::Presence`] follows for each person outside the list with whom the user shares a direct room.
    People { people: Vec<PersonPresence> },
    /// Answer to `ping`.
    Pong {
        /// The number of the `ping`.
        n: u32,
    },
    /// Answer to a cursor.
    Resumed {
        room: RoomId,
        /// True: every event after the cursor follows. False: the client has to fetch the room anew.
        recovered: bool,
        /// Epoch of the room's stream.
        epoch: Epoch,
        /// Newest sequence of the stream, or the last one of the replay.
        head: Seq,
    },
    /// An event of a room.
    Event {
        room: RoomId,
        /// Sequence in the room's stream.
        seq: Seq,
        #[serde(flatten)]
        event: RoomEvent,
    },
    /// A message or a file was committed.
    Sent {
        id: MessageId,
        room: RoomId,
        /// Sequence in the room's stream.
        seq: Seq,
        /// Commit time on the server.
        at: Millis,
    },
    /// A message or file was refused. Retrying unchanged helps only for `too_fast` and `unavailable`.
    Refused {
        id: MessageId,
        /// Reason for programs.
        code: ErrorCode,
        /// Reason and remedy, as shown to the user.
        reason: String,
    },
    /// The server is ready for chunks of an upload.
    UploadReady {
        id: MessageId,
        /// Bytes that the server already has: the offset of the next chunk.
        offset: u64,
    },
    /// A chunk of an upload was received.
    UploadProgress {
        id: MessageId,
        /// Number of bytes that the server has.
        received: u64,
    },
    /// A room is new to the user or its summary changed.
    Room { room: RoomSummary },
    /// The user's read position changed, perhaps on another client.
    Read {
        room: RoomId,
        /// Everything up to and including this is read.
        seq: Seq,
        /// Messages of others after `seq`; 100 means that many or more.
        unread: i64,
    },
    /// The presence of a person changed.
    Presence {
        #[serde(flatten)]
        entry: PersonPresence,
    },
    /// Number of people online or away. Sent only while not all are listed.
    Crowd {
        #[serde(rename = "people")]
        count: u32,
    },
    /// A person is typing in a room.
    Typing { room: RoomId, person: Person },
    /// After every change, and after `welcome` while the call lasts.
    Call { call: CallView },
    /// A signaling message of the peer.
    Signal {
        call: CallId,
        signal: SignalingMessage,
        /// The sender in a group call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Seat>,
    },
    /// After every change, and after `welcome` while the call lasts.
    GroupCall { group: GroupCallView },
    /// A frame was refused. The connection stays open.
    Error {
        /// Reason for programs.
        code: ErrorCode,
        /// Reason and remedy in words.
        reason: String,
        /// The call that the refused frame was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<CallId>,
    },
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
    /// A frame that only the server may send.
    ServerOnly,
    /// The frame exceeds the size limit.
    TooLarge,
    /// `hello` was sent twice.
    #[serde(rename = "already_greeted")]
    DuplicateHello,
    /// The room does not exist, or the user is not a member.
    NoSuchRoom,
    /// The user to call does not exist, or is the caller.
    NoSuchUser,
    /// The call does not exist, or the client does not take part in it.
    NoSuchCall,
    /// Not possible in this state of the call, or the group call is full.
    WrongState,
    /// The user is already in a call.
    #[serde(rename = "in_a_call")]
    AlreadyInCall,
    /// A guest sent a frame that guests may not send.
    NotAllowed,
    /// The content violates a rule, named in the reason: too large, empty, not announced, id taken.
    Invalid,
    /// The client exceeded a rate limit.
    #[serde(rename = "too_fast")]
    RateLimited,
    /// The server failed temporarily; a later retry may succeed.
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
