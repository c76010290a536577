//! Connection of one client, as the rest of the server sees it.

use super::send_queue::{EncodedFrame, SendQueue};
use crate::{
    model::{CallId, ClientId, Millis, user::Person},
    protocol::{close::CloseCode, ws::ServerFrame},
    server::{
        bus::{Bus, Message, NodeId, RemoteCommand},
        clock,
    },
};
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

/// Connection of a client, to this node or to another.
#[derive(Debug)]
pub struct Connection {
    /// Id of the client.
    pub client: ClientId,
    /// User of the client.
    pub person: Person,
    /// The only call a guest may take part in; none for a user.
    pub guest_of: Option<CallId>,
    location: Location,
    visible: AtomicBool,
}

/// How a client disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disconnect {
    /// The connection was lost. The client may reconnect.
    #[default]
    #[serde(rename = "for_now")]
    Lost,
    /// The page was closed, crashed or navigated away.
    #[serde(rename = "for_good")]
    Left,
}

/// Where a client is connected.
#[derive(Debug)]
enum Location {
    Local(LocalConnection),
    Remote(NodeId, Bus),
}

/// Data that only the node of the connection has.
#[derive(Debug)]
struct LocalConnection {
    /// Hash of the session token. Ending the session closes its connections.
    token_hash: String,
    /// Frames to the client. Any task may push.
    send_queue: Arc<SendQueue>,
    /// Last message from the client, in milliseconds since 1970.
    last_received_at: AtomicI64,
}

impl Connection {
    /// To this node, after the client's hello. `session` is the hash of the session token.
    #[must_use]
    pub fn new(
        client: ClientId,
        person: Person,
        session: String,
        visible: bool,
        send_queue: Arc<SendQueue>,
    ) -> Self {
        let way = Location::Local(LocalConnection {
            token_hash: session,
            send_queue,
            last_received_at: AtomicI64::new(clock::now()),
        });
        Self {
            client,
            person,
            guest_of: None,
            location: way,
            visible: AtomicBool::new(visible),
        }
    }

    /// To another node, which gets the frames for it.
    #[must_use]
    pub fn remote(client: ClientId, person: Person, visible: bool, node: NodeId, bus: Bus) -> Self {
        Self {
            client,
            person,
            guest_of: None,
            location: Location::Remote(node, bus),
            visible: AtomicBool::new(visible),
        }
    }

    /// Marks the connection as a guest's of one call; as a user's for `None`.
    #[must_use]
    pub fn as_guest_of(self, call: Option<CallId>) -> Self {
        Self {
            guest_of: call,
            ..self
        }
    }

    /// Queues a frame for this client.
    pub fn send(&self, frame: &ServerFrame) {
        match &self.location {
            Location::Local(here) => here.send_queue.push(frame.into()),
            Location::Remote(node, bus) => {
                let order = RemoteCommand::SendToClient {
                    client: self.client,
                    frame: Box::new(frame.clone()),
                };
                bus.send_to(*node, Message::Command { command: order });
            }
        }
    }

    /// Queues an encoded frame if the client is connected to this node.
    pub(super) fn push(&self, encoded: &EncodedFrame) {
        if let Location::Local(here) = &self.location {
            here.send_queue.push(encoded.clone());
        }
    }

    /// Closes the connection if it is to this node.
    pub fn close(&self, why: CloseCode) {
        if let Location::Local(here) = &self.location {
            here.send_queue.close(why);
        }
    }

    /// The node of the connection. None if it is this node.
    #[must_use]
    pub fn remote_node(&self) -> Option<NodeId> {
        match &self.location {
            Location::Local(_) => None,
            Location::Remote(node, _) => Some(*node),
        }
    }

    /// Queued bytes; zero for a connection to another node.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        match &self.location {
            Location::Local(here) => here.send_queue.queued_bytes(),
            Location::Remote(..) => 0,
        }
    }

    /// Whether this is a connection to this node with the given session (token hash).
    pub(super) fn is_of(&self, session: &str) -> bool {
        matches!(&self.location, Location::Local(here) if here.token_hash == session)
    }

    /// Token hash of the session; none for a connection to another node.
    #[must_use]
    pub fn token_hash(&self) -> Option<&str> {
        match &self.location {
            Location::Local(here) => Some(&here.token_hash),
            Location::Remote(..) => None,
        }
    }

    /// Records that a message has just arrived from the client.
    pub fn mark_received(&self) {
        if let Location::Local(here) = &self.location {
            here.last_received_at.store(clock::now(), Ordering::Relaxed);
        }
    }

    /// Whether nothing has arrived since then; false for a connection to another node.
    pub(super) fn is_silent(&self, since: Millis) -> bool {
        matches!(&self.location, Location::Local(here) if here.last_received_at.load(Ordering::Relaxed) < since)
    }

    /// Whether the page is visible.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        self.visible.load(Ordering::Relaxed)
    }

    pub(super) fn set_visible(&self, visible: bool) {
        self.visible.store(visible, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn send_queue(&self) -> &Arc<SendQueue> {
        match &self.location {
            Location::Local(here) => &here.send_queue,
            Location::Remote(..) => panic!("a connection to another node"),
        }
    }
}
