//! Messages between nodes, each a self-contained JSON value.

use crate::{
    model::{CallId, ClientId, Millis, RoomId, UserId, room::RoomKind, user::Person},
    protocol::ws::ServerFrame,
    server::{
        live::{Disconnect, RetainedFrame},
        store::EventRow,
    },
};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Id of a node, a running program; new at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The node that sent the message.
    pub from: NodeId,
    pub message: Message,
}

/// A message from one node to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// Committed events of one stream. A receiver reads missing ones from the store.
    Committed {
        /// Name of the stream.
        stream: String,
        rows: Vec<EventRow>,
        /// Time of sending by the sender's clock, in milliseconds since 1970.
        #[serde(default)]
        at: Millis,
    },
    /// A command for the clients connected to the receiving node.
    #[serde(rename = "order")]
    Command {
        #[serde(rename = "order")]
        command: RemoteCommand,
    },
    /// The node has connected; the others exchange client lists with it.
    Started,
    /// The node is alive, once a second.
    #[serde(rename = "pulse")]
    Heartbeat {
        /// Client changes that the node has sent so far.
        #[serde(rename = "changes")]
        change_count: u64,
    },
    /// A client of the node connected, changed or disconnected.
    #[serde(rename = "page")]
    ClientChanged {
        /// Number of this change; a receiver that misses one requests the whole list.
        #[serde(rename = "change")]
        change_seq: u64,
        #[serde(rename = "page")]
        client_change: ClientChange,
    },
    /// Requests the whole client list, after a missed change.
    #[serde(rename = "ask_pages")]
    RequestClientList,
    /// One part of the node's client list.
    #[serde(rename = "pages")]
    ClientList {
        /// Client changes that the list includes.
        #[serde(rename = "changes")]
        change_count: u64,
        /// Clients in this part of the list.
        #[serde(rename = "pages")]
        clients: Vec<ConnectedClient>,
        /// Whether this is the last part of the list.
        #[serde(rename = "last")]
        is_last: bool,
    },
    /// The node is stopping; its clients are disconnected.
    Stopped,
}

/// A connected client as other nodes see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedClient {
    pub client: ClientId,
    /// User or guest of the client.
    pub person: Person,
    /// The only call that a guest may join; none for a user.
    #[serde(default)]
    pub guest_of: Option<CallId>,
    /// Whether the page is visible.
    pub visible: bool,
    /// Direct rooms, whose other members receive the user's presence.
    #[serde(rename = "near")]
    pub direct_rooms: Vec<RoomId>,
}

/// A change of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ClientChange {
    /// The client has connected.
    #[serde(rename = "opened")]
    Connected {
        #[serde(rename = "page")]
        client: ConnectedClient,
    },
    /// The page became visible or hidden.
    #[serde(rename = "visible")]
    VisibilityChanged { client: ClientId, visible: bool },
    /// The client has disconnected.
    #[serde(rename = "closed")]
    Disconnected {
        client: ClientId,
        /// Whether the client may reconnect.
        #[serde(default)]
        #[serde(rename = "gone")]
        disconnect: Disconnect,
    },
}

/// A command for the clients connected to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum RemoteCommand {
    /// Sends a frame to every client subscribed to a room.
    #[serde(rename = "to_room")]
    SendToRoom {
        room: RoomId,
        frame: Box<ServerFrame>,
        /// User whose clients are skipped.
        except: Option<UserId>,
    },
    /// Sends a frame to every client of a user.
    #[serde(rename = "to_user")]
    SendToUser {
        user: UserId,
        frame: Box<ServerFrame>,
    },
    /// Sends a frame to one client.
    #[serde(rename = "to_page")]
    SendToClient {
        client: ClientId,
        frame: Box<ServerFrame>,
    },
    /// Has a room retain a frame and send it to its subscribers.
    RetainFrame {
        /// Id of the room.
        room: RoomId,
        /// What to retain.
        retained: Box<RetainedFrame>,
    },
    /// Sends the last frame of a subject to a room, which then forgets it.
    ClearFrame {
        /// Id of the room.
        room: RoomId,
        /// Id of the subject.
        subject: Uuid,
        /// Frame to send.
        frame: Box<ServerFrame>,
    },
    /// Replaces all retained frames, in case a command was lost.
    SyncRetainedFrames {
        /// Rooms with what they retain.
        frames: Vec<(RoomId, RetainedFrame)>,
    },
    /// Sends a frame to every client.
    #[serde(rename = "to_all")]
    SendToAll { frame: Box<ServerFrame> },
    /// Subscribes every client of a user to a room.
    #[serde(rename = "join")]
    SubscribeUser {
        user: UserId,
        room: RoomId,
        kind: RoomKind,
    },
    /// Subscribes every client to a room.
    #[serde(rename = "join_all")]
    SubscribeAll { room: RoomId, kind: RoomKind },
    /// Closes the connections of a session that has ended.
    CloseSession {
        /// Token hash of the session.
        session: String,
    },
    /// Closes the connections of a user's sessions, except those of one session.
    CloseOtherSessions {
        user: UserId,
        /// Token hash of the session to keep.
        #[serde(rename = "keep")]
        kept_session: String,
    },
    /// Has a user's clients reconnect, because the user's data changed.
    #[serde(rename = "refresh")]
    ReconnectUser { user: UserId },
}
