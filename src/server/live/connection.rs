//! One page's connection, as the rest of the server sees it.

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

/// One page's connection, to this node or to another.
#[derive(Debug)]
pub struct Connection {
    /// Which page.
    pub client: ClientId,
    /// Whose.
    pub person: Person,
    /// The one call that it may be in, and nothing else of the site, for a page of a guest to that call.
    pub guest_of: Option<CallId>,
    location: Location,
    visible: AtomicBool,
}

/// In which way a page is not connected any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disconnect {
    /// It may come back: its connection was lost.
    #[default]
    #[serde(rename = "for_now")]
    Lost,
    /// It was closed, it crashed, or its browser went to another address.
    #[serde(rename = "for_good")]
    Left,
}

/// How a page is reached.
#[derive(Debug)]
enum Location {
    Local(LocalConnection),
    Remote(NodeId, Bus),
}

/// What only the node knows that a page is connected to.
#[derive(Debug)]
struct LocalConnection {
    /// The hash of the session's token: a session that ends closes its connections.
    token_hash: String,
    /// Where what it is told goes. Pushed to by anybody.
    send_queue: Arc<SendQueue>,
    /// When something was last heard from it.
    last_received_at: AtomicI64,
}

impl Connection {
    /// A connection to this node that has said hello.
    #[must_use]
    pub fn new(
        client: ClientId,
        person: Person,
        session: String,
        visible: bool,
        outlet: Arc<SendQueue>,
    ) -> Self {
        let way = Location::Local(LocalConnection {
            token_hash: session,
            send_queue: outlet,
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

    /// A connection to another node, which is told what the page is to be told.
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

    /// The same, of a guest to one call; of somebody with a session where there is none.
    #[must_use]
    pub fn as_guest_of(self, call: Option<CallId>) -> Self {
        Self {
            guest_of: call,
            ..self
        }
    }

    /// Queues a frame for this page alone.
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

    /// Queues what was encoded, if the page is connected to this node.
    pub(super) fn push(&self, piece: &EncodedFrame) {
        if let Location::Local(here) = &self.location {
            here.send_queue.push(piece.clone());
        }
    }

    /// Ends the connection, if it is one to this node.
    pub fn close(&self, why: CloseCode) {
        if let Location::Local(here) = &self.location {
            here.send_queue.close(why);
        }
    }

    /// The node it is connected to, if that is another.
    #[must_use]
    pub fn remote_node(&self) -> Option<NodeId> {
        match &self.location {
            Location::Local(_) => None,
            Location::Remote(node, _) => Some(*node),
        }
    }

    /// How many bytes wait for it, if it is a connection to this node.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        match &self.location {
            Location::Local(here) => here.send_queue.queued_bytes(),
            Location::Remote(..) => 0,
        }
    }

    /// Whether it is a connection of this session to this node.
    pub(super) fn is_of(&self, session: &str) -> bool {
        matches!(&self.location, Location::Local(here) if here.token_hash == session)
    }

    /// The hash of the token of its session, for a connection to this node.
    #[must_use]
    pub fn token_hash(&self) -> Option<&str> {
        match &self.location {
            Location::Local(here) => Some(&here.token_hash),
            Location::Remote(..) => None,
        }
    }

    /// Something was heard from it just now.
    pub fn mark_received(&self) {
        if let Location::Local(here) = &self.location {
            here.last_received_at.store(clock::now(), Ordering::Relaxed);
        }
    }

    /// Whether nothing was heard from it since a moment. Only the node it is connected to knows.
    pub(super) fn is_silent(&self, since: Millis) -> bool {
        matches!(&self.location, Location::Local(here) if here.last_received_at.load(Ordering::Relaxed) < since)
    }

    /// Whether it can be seen.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        self.visible.load(Ordering::Relaxed)
    }

    pub(super) fn set_visible(&self, visible: bool) {
        self.visible.store(visible, Ordering::Relaxed);
    }

    /// Where what it is told goes, for tests of what that is.
    #[cfg(test)]
    pub(crate) fn send_queue(&self) -> &Arc<SendQueue> {
        match &self.location {
            Location::Local(here) => &here.send_queue,
            Location::Remote(..) => panic!("a page of another node"),
        }
    }
}
