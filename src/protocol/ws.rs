//! Text frames of `GET /ws`: one JSON object each, told apart by `"type"`.
//!
//! A connection begins with the client's [`ClientFrame::Hello`], which the server answers with [`ServerFrame::Welcome`] and
//! one [`ServerFrame::Resumed`] for each cursor, each followed by what was missed. From then on both sides speak when they
//! have something to say.

use crate::model::{
    CallId, ClientId, Cursor, Epoch, MessageId, Millis, RoomId, Seq,
    call::{CallView, ClientAction, Seat, SignalingMessage, group::GroupCallView},
    limits::Limits,
    message::{MessageText, RoomEvent},
    room::RoomSummary,
    user::{Person, Presence},
};
use serde::{Deserialize, Serialize};

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame of every connection.
    Hello {
        /// Which page this is; a second connection with the same id replaces the first.
        client: ClientId,
        /// Where to go on: one entry for each room whose messages the page holds.
        #[serde(default)]
        cursors: Vec<RoomCursor>,
        /// Whether the page is visible.
        #[serde(default = "default_true")]
        visible: bool,
    },
    /// Are you there? Answered with [`ServerFrame::Pong`] and the same number.
    Ping {
        /// Any number; it comes back.
        n: u32,
    },
    /// Becoming visible or hidden: changes the presence that others see.
    Visibility {
        /// Whether the page is visible.
        visible: bool,
    },
    /// Go on in a room from here: after its page was fetched, or when a hole was found.
    Resume {
        /// The room and the cursor.
        #[serde(flatten)]
        cursor: RoomCursor,
    },
    /// A message. Answered with [`ServerFrame::Sent`] when it is committed, or with [`ServerFrame::Refused`].
    Send {
        /// The idempotency id: a repeated one is answered with the first result.
        id: MessageId,
        /// Where to.
        room: RoomId,
        /// What.
        text: MessageText,
    },
    /// A file is about to come in binary frames. Answered with [`ServerFrame::UploadReady`], with [`ServerFrame::Sent`] if it
    /// is there already, or with [`ServerFrame::Refused`].
    Upload {
        /// The idempotency id, also of the message it becomes. After a reconnect, the same frame goes on where it stopped.
        id: MessageId,
        /// Where to.
        room: RoomId,
        /// The file's name; folders are cut off.
        name: String,
        /// The file's size in bytes.
        size: u64,
    },
    /// The user gave up on an upload.
    UploadCancel {
        /// Which.
        id: MessageId,
    },
    /// Everything up to here has been read. Never goes back.
    Read {
        /// Where.
        room: RoomId,
        /// Up to and including this.
        seq: Seq,
    },
    /// Typing goes on in a room. Said at most every 3 s; others show it for 5 s.
    Typing {
        /// Where.
        room: RoomId,
    },
    /// Anything about a call.
    Call {
        /// Which call; for a start, the idempotency id of the start.
        call: CallId,
        /// What to do.
        #[serde(flatten)]
        action: ClientAction,
    },
}

fn default_true() -> bool {
    true
}

/// A room and how far its messages are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomCursor {
    /// Which room.
    pub room: RoomId,
    /// How far.
    #[serde(flatten)]
    pub cursor: Cursor,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`.
    Welcome {
        /// Who the session belongs to.
        user: Person,
        /// Every room this user is a member of.
        rooms: Vec<RoomSummary>,
        /// How many people are here or away in all.
        #[serde(default)]
        crowd: u32,
        /// The bounds in force.
        limits: Limits,
        /// Say something at least this often, in milliseconds; six times that without a word and the server closes.
        #[serde(rename = "heartbeat")]
        heartbeat_ms: u32,
        /// Which build the server runs; a page of another build should reload when nothing would be lost.
        build: String,
    },
    /// Who is here or away, by name: everybody in a small community; in a crowd a part of them, the same for all who ask. Of those
    /// who share a direct room with this user and are not among them, `presence` follows.
    People {
        /// Who, and how.
        people: Vec<PersonPresence>,
    },
    /// The answer to `ping`.
    Pong {
        /// The number that came.
        n: u32,
    },
    /// The answer to a cursor. When recovered, everything after the cursor follows as `event` frames; when not, the page
    /// holds a state that cannot be continued and has to fetch the room anew.
    Resumed {
        /// Which room.
        room: RoomId,
        /// All of it, or nothing of it.
        recovered: bool,
        /// The stream's epoch.
        epoch: Epoch,
        /// The stream's newest sequence.
        head: Seq,
    },
    /// Something happened in a room.
    Event {
        /// Which room.
        room: RoomId,
        /// Its place in the room's stream.
        seq: Seq,
        /// What.
        #[serde(flatten)]
        event: RoomEvent,
    },
    /// A message or a file is committed.
    Sent {
        /// Its id.
        id: MessageId,
        /// Its room.
        room: RoomId,
        /// Its place in the room's stream.
        seq: Seq,
        /// When it was committed.
        at: Millis,
    },
    /// A message or a file was refused, for good: sending it again unchanged will not help.
    Refused {
        /// Its id.
        id: MessageId,
        /// Why, for programs.
        code: ErrorCode,
        /// Why, and what to do, in words.
        reason: String,
    },
    /// Send the file's chunks from this offset on.
    UploadReady {
        /// Which upload.
        id: MessageId,
        /// How many bytes the server has already.
        offset: u64,
    },
    /// The server has this much of a file.
    UploadProgress {
        /// Which upload.
        id: MessageId,
        /// How many bytes.
        received: u64,
    },
    /// A room is new to this user, or its summary changed.
    Room {
        /// The room.
        room: RoomSummary,
    },
    /// The user has read this far, perhaps on another page.
    Read {
        /// Which room.
        room: RoomId,
        /// Up to and including this.
        seq: Seq,
        /// How many messages of others stand after it; 100 for that many or more.
        unread: i64,
    },
    /// Somebody came, went, or looked away.
    Presence {
        /// Who, and how.
        #[serde(flatten)]
        entry: PersonPresence,
    },
    /// How many people are here or away in all; only said while not all of them are listed.
    Crowd {
        /// So many.
        #[serde(rename = "people")]
        count: u32,
    },
    /// Somebody is typing.
    Typing {
        /// Where.
        room: RoomId,
        /// Who.
        person: Person,
    },
    /// Where a call stands, after every change. Also sent after `welcome` for a call that is going on.
    Call {
        /// The call as this page sees it.
        call: CallView,
    },
    /// What the peer's page said.
    Signal {
        /// Which call.
        call: CallId,
        /// What.
        signal: SignalingMessage,
        /// In a group call: who said it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Seat>,
    },
    /// Who is in the call of a room, after every change. Also sent after `welcome` for calls that go on.
    GroupCall {
        /// The call as this page sees it.
        group: GroupCallView,
    },
    /// A frame was refused. The connection goes on.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, and what to do, in words.
        reason: String,
        /// The call it was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<CallId>,
    },
}

/// A person and whether they are at a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonPresence {
    /// Who.
    pub person: Person,
    /// How.
    pub presence: Presence,
}

/// Why a frame was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No JSON, no known type, or a field is missing or of the wrong shape.
    Malformed,
    /// A frame that only the server may send.
    ServerOnly,
    /// Larger than the bound.
    TooLarge,
    /// `hello` came twice.
    #[serde(rename = "already_greeted")]
    DuplicateHello,
    /// The room does not exist, or is not this user's.
    NoSuchRoom,
    /// The user does not exist.
    NoSuchUser,
    /// The call does not exist, or this page has no part in it.
    NoSuchCall,
    /// The call is in a state in which that cannot be done.
    WrongState,
    /// Somebody who is in a call cannot start another.
    #[serde(rename = "in_a_call")]
    AlreadyInCall,
    /// A guest to one call asked for something else.
    NotAllowed,
    /// What was sent breaks a rule that the reason tells: a file is too large or empty, a chunk does not follow the one before,
    /// an id belongs to something else.
    Invalid,
    /// More than the server takes in this time; slow down.
    #[serde(rename = "too_fast")]
    RateLimited,
    /// The server could not do it now (disk full, store unreachable). Trying again later may help.
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
        assert!(error.to_string().contains("write something"), "{error}");
    }
}
