//! What nodes tell one another: JSON, each message whole in itself.

use crate::{
    model::{
        CallId, ClientId, Millis, RoomId, UserId,
        call::{ClientAction, group::GroupCallView},
        room::RoomKind,
        user::Person,
    },
    protocol::ws::ServerFrame,
    server::{live::Disconnect, store::EventRow},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// A running program. Made anew at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Uuid);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one node tells others, and who says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The node that says it.
    pub from: NodeId,
    /// What it says.
    pub message: Message,
}

/// What one node tells others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// Events of one stream that were committed, in sequence. Whoever misses one notices the hole, and reads it from the store.
    Committed {
        /// The name of the stream.
        stream: String,
        /// The events.
        rows: Vec<EventRow>,
        /// When, in milliseconds since 1970, by the clock of the node that says it.
        #[serde(default)]
        at: Millis,
    },
    /// Something to do for the pages that are connected to the node that hears this.
    #[serde(rename = "order")]
    Command {
        /// What.
        #[serde(rename = "order")]
        command: RemoteCommand,
    },
    /// The node has started: the others tell it of their pages.
    Started,
    /// The node lives. Said once a second.
    #[serde(rename = "pulse")]
    Heartbeat {
        /// How many changes of its pages the node has told.
        #[serde(rename = "changes")]
        change_count: u64,
    },
    /// A page of the node came, changed or went.
    #[serde(rename = "page")]
    ClientChanged {
        /// Counts the changes of this node; a receiver that misses one asks for all pages.
        #[serde(rename = "change")]
        change_seq: u64,
        /// What changed.
        #[serde(rename = "page")]
        client_change: ClientChange,
    },
    /// A change was missed: asks for all pages.
    #[serde(rename = "ask_pages")]
    RequestClientList,
    /// All pages of the node, in parts.
    #[serde(rename = "pages")]
    ClientList {
        /// The changes that are in it.
        #[serde(rename = "changes")]
        change_count: u64,
        /// Some of the pages.
        #[serde(rename = "pages")]
        clients: Vec<ConnectedClient>,
        /// Whether this is the last part.
        #[serde(rename = "last")]
        is_last: bool,
    },
    /// The node stops. Its pages are gone.
    Stopped,
}

/// A page as other nodes know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedClient {
    /// Which.
    pub client: ClientId,
    /// Whose.
    pub person: Person,
    /// The one call that it may be in, for a page of a guest.
    #[serde(default)]
    pub guest_of: Option<CallId>,
    /// Whether it can be seen.
    pub visible: bool,
    /// The direct rooms of its owner, who is told to those who share one.
    #[serde(rename = "near")]
    pub direct_rooms: Vec<RoomId>,
}

/// What happened to a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ClientChange {
    /// It is connected.
    #[serde(rename = "opened")]
    Connected {
        /// The page.
        #[serde(rename = "page")]
        client: ConnectedClient,
    },
    /// It became visible or hidden.
    #[serde(rename = "visible")]
    VisibilityChanged {
        /// Which.
        client: ClientId,
        /// Whether it can be seen.
        visible: bool,
    },
    /// Its connection is gone.
    #[serde(rename = "closed")]
    Disconnected {
        /// Which.
        client: ClientId,
        /// Whether it may come back.
        #[serde(default)]
        #[serde(rename = "gone")]
        disconnect: Disconnect,
    },
}

/// Something to do for the pages that are connected to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum RemoteCommand {
    /// Tell every page that hears a room.
    #[serde(rename = "to_room")]
    SendToRoom {
        /// Which room.
        room: RoomId,
        /// What.
        frame: Box<ServerFrame>,
        /// But not this user's pages.
        except: Option<UserId>,
    },
    /// Tell every page of a user.
    #[serde(rename = "to_user")]
    SendToUser {
        /// Whose.
        user: UserId,
        /// What.
        frame: Box<ServerFrame>,
    },
    /// Tell one page.
    #[serde(rename = "to_page")]
    SendToClient {
        /// Which.
        client: ClientId,
        /// What.
        frame: Box<ServerFrame>,
    },
    /// Who is in the call of a room: tell every page that hears the room, now and when it connects.
    #[serde(rename = "group")]
    UpdateGroupCall {
        /// The call.
        #[serde(rename = "group")]
        group_call: Box<GroupCallView>,
    },
    /// Which calls go on in rooms, all of them: what was missed is made up for.
    #[serde(rename = "groups")]
    SyncGroupCalls {
        /// The calls.
        #[serde(rename = "groups")]
        group_calls: Vec<GroupCallView>,
    },
    /// Tell everybody.
    #[serde(rename = "to_all")]
    SendToAll {
        /// What.
        frame: Box<ServerFrame>,
    },
    /// Every page of a user hears a room from now on.
    #[serde(rename = "join")]
    SubscribeUser {
        /// Whose pages.
        user: UserId,
        /// Which room.
        room: RoomId,
        /// What kind it is.
        kind: RoomKind,
    },
    /// Everybody hears a room from now on.
    #[serde(rename = "join_all")]
    SubscribeAll {
        /// Which room.
        room: RoomId,
        /// What kind it is.
        kind: RoomKind,
    },
    /// A session has ended.
    CloseSession {
        /// The hash of its token.
        session: String,
    },
    /// The sessions of a user but one have ended.
    CloseOtherSessions {
        /// Whose.
        user: UserId,
        /// The hash of the token of the one that is kept.
        #[serde(rename = "keep")]
        kept_session: String,
    },
    /// What is known of a user has changed: their pages connect again.
    #[serde(rename = "refresh")]
    ReconnectUser {
        /// Who.
        user: UserId,
    },
}

/// What a page asks about a call, passed on to the node that holds the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// The node that the page is connected to.
    pub from: NodeId,
    /// Which page.
    pub client: ClientId,
    /// Whose.
    pub person: Person,
    /// The one call that it may be in, for a page of a guest.
    #[serde(default)]
    pub guest_of: Option<CallId>,
    /// Which call.
    pub call: CallId,
    /// What it asks.
    pub action: ClientAction,
}
