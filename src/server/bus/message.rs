//! Messages between nodes, each a self-contained JSON value. Nodes of earlier builds send no numbers, terms and parts:
//! these fields are then none or 0.

use super::{ListPart, SentCounts};
use crate::{
    model::{CallId, ClientId, Millis, RoomId, UserId, room::RoomKind, user::Person},
    protocol::ws::ServerFrame,
    server::{
        live::{Disconnect, Incarnation, RetainedFrame},
        store::EventRow,
    },
};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Id of a running node, new at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Uuid);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message and its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub from: NodeId,
    /// Counts the sender's messages to the same receivers.
    #[serde(default)]
    pub number: Option<u64>,
    pub message: Message,
}

/// A message from one node to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    Committed {
        stream: String,
        rows: Vec<EventRow>,
        /// Sender's clock, in milliseconds since 1970.
        #[serde(default)]
        at: Millis,
    },
    #[serde(rename = "order")]
    Command {
        #[serde(rename = "order")]
        command: RemoteCommand,
    },
    /// Others exchange client lists with the node.
    Started,
    /// Sent once a second.
    #[serde(rename = "pulse")]
    Heartbeat {
        /// Client changes sent so far.
        #[serde(rename = "changes")]
        change_count: u64,
        #[serde(default)]
        sent: SentCounts,
    },
    #[serde(rename = "page")]
    ClientChanged {
        /// A receiver that misses one requests the whole list.
        #[serde(rename = "change")]
        change_seq: u64,
        #[serde(rename = "page")]
        client_change: ClientChange,
    },
    #[serde(rename = "ask_pages")]
    RequestClientList,
    /// Messages to the sender were lost; receivers send again what still matters.
    Resync,
    #[serde(rename = "pages")]
    ClientList {
        /// Included in the list.
        #[serde(rename = "changes")]
        change_count: u64,
        #[serde(rename = "pages")]
        clients: Vec<ConnectedClient>,
        #[serde(rename = "last")]
        is_last: bool,
        #[serde(default)]
        part: Option<ListPart>,
    },
    Stopped,
}

/// A connected client as other nodes see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedClient {
    pub client: ClientId,
    pub person: Person,
    #[serde(default)]
    pub guest_of: Option<CallId>,
    pub visible: bool,
    /// Their other members receive the user's presence.
    #[serde(rename = "near")]
    pub direct_rooms: Vec<RoomId>,
    #[serde(default)]
    pub incarnation: Incarnation,
}

/// A change of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ClientChange {
    #[serde(rename = "opened")]
    Connected {
        #[serde(rename = "page")]
        client: ConnectedClient,
    },
    #[serde(rename = "visible")]
    VisibilityChanged { client: ClientId, visible: bool },
    #[serde(rename = "closed")]
    Disconnected {
        client: ClientId,
        #[serde(default)]
        #[serde(rename = "gone")]
        disconnect: Disconnect,
    },
}

/// A command for the clients connected to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum RemoteCommand {
    #[serde(rename = "to_room")]
    SendToRoom {
        room: RoomId,
        frame: Box<ServerFrame>,
        /// User whose clients are skipped.
        except: Option<UserId>,
    },
    #[serde(rename = "to_user")]
    SendToUser {
        user: UserId,
        frame: Box<ServerFrame>,
    },
    #[serde(rename = "to_page")]
    SendToClient {
        client: ClientId,
        frame: Box<ServerFrame>,
    },
    RetainFrame {
        room: RoomId,
        retained: Box<RetainedFrame>,
        /// Counts the sender's commands about retained frames.
        #[serde(default)]
        number: u64,
    },
    /// Sends a subject's last frame to a room, which then retains no frame of the subject.
    ClearFrame {
        room: RoomId,
        subject: Uuid,
        frame: Box<ServerFrame>,
    },
    /// All retained frames, in case a command was lost.
    SyncRetainedFrames {
        frames: Vec<(RoomId, RetainedFrame)>,
        /// The sender's term as the call leader.
        #[serde(default)]
        term: i64,
        /// As in [`Self::RetainFrame`]; an overtaken list is ignored.
        #[serde(default)]
        number: u64,
    },
    #[serde(rename = "to_all")]
    SendToAll { frame: Box<ServerFrame> },
    /// Sent by earlier builds, which lack the memberships stream.
    #[serde(rename = "join")]
    SubscribeUser {
        user: UserId,
        room: RoomId,
        kind: RoomKind,
    },
    /// As [`Self::SubscribeUser`].
    #[serde(rename = "join_all")]
    SubscribeAll { room: RoomId, kind: RoomKind },
    CloseSession {
        /// Hash of the token.
        session: String,
    },
    CloseOtherSessions {
        user: UserId,
        /// Hash of the token.
        #[serde(rename = "keep")]
        kept_session: String,
    },
    /// The user's data changed.
    #[serde(rename = "refresh")]
    ReconnectUser { user: UserId },
}
