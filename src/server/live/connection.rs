//! Connection of one client, as the rest of the server sees it.

use super::{
    incarnation::Incarnation,
    send_queue::{EncodedFrame, SendQueue},
};
use crate::{
    model::{CallId, ClientId, RoomId, user::Person},
    protocol::{
        close::CloseCode,
        ws::{FrameReference, ServerFrame},
    },
    server::bus::{Bus, Message, NodeId, RemoteCommand},
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Connection of a client, to this node or to another.
#[derive(Debug)]
pub struct Connection {
    pub client: ClientId,
    pub person: Person,
    /// The only call a guest may join; none for a user.
    pub guest_of: Option<CallId>,
    pub incarnation: Incarnation,
    /// Of the frame being handled, if its refusal can come later or from another node.
    pub subject: Option<Box<FrameSubject>>,
    location: Location,
    visible: AtomicBool,
}

/// What the refusal of a frame repeats, besides ids that its handler knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameSubject {
    pub room: Option<RoomId>,
    pub reference: Option<FrameReference>,
}

/// How a client disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disconnect {
    /// The client may reconnect.
    #[default]
    #[serde(rename = "for_now")]
    Lost,
    /// The page was closed, crashed or navigated away.
    #[serde(rename = "for_good")]
    Left,
}

#[derive(Debug, Clone)]
enum Location {
    Local(LocalConnection),
    Remote(NodeId, Bus),
}

#[derive(Debug, Clone)]
struct LocalConnection {
    token_hash: String,
    send_queue: Arc<SendQueue>,
    opened_at: Instant,
    /// In milliseconds since `opened_at`.
    last_received_at: Arc<AtomicU64>,
}

impl LocalConnection {
    /// In milliseconds.
    fn age(&self) -> u64 {
        u64::try_from(self.opened_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn silence(&self) -> Duration {
        let last_received_at = self.last_received_at.load(Ordering::Relaxed);
        Duration::from_millis(self.age().saturating_sub(last_received_at))
    }
}

impl Connection {
    /// A connection to this node; `session` is the token's hash.
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
            opened_at: Instant::now(),
            last_received_at: Arc::new(AtomicU64::new(0)),
        });
        Self {
            client,
            person,
            guest_of: None,
            incarnation: Incarnation::default(),
            subject: None,
            location: way,
            visible: AtomicBool::new(visible),
        }
    }

    /// A connection to another node, which gets the frames for it.
    #[must_use]
    pub fn remote(client: ClientId, person: Person, visible: bool, node: NodeId, bus: Bus) -> Self {
        Self {
            client,
            person,
            guest_of: None,
            incarnation: Incarnation::default(),
            subject: None,
            location: Location::Remote(node, bus),
            visible: AtomicBool::new(visible),
        }
    }

    /// Marks the connection as a guest's, or as a user's for `None`.
    #[must_use]
    pub fn as_guest_of(self, call: Option<CallId>) -> Self {
        Self {
            guest_of: call,
            ..self
        }
    }

    /// Numbers the connection.
    #[must_use]
    pub fn in_incarnation(self, incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            ..self
        }
    }

    pub(super) fn with_person(&self, person: Person) -> Self {
        Self {
            client: self.client,
            person,
            guest_of: self.guest_of,
            incarnation: self.incarnation,
            subject: self.subject.clone(),
            location: self.location.clone(),
            visible: AtomicBool::new(self.is_visible()),
        }
    }

    /// A copy of the connection, to answer a frame about `subject`.
    #[must_use]
    pub fn answering(self: &Arc<Self>, subject: Option<Box<FrameSubject>>) -> Arc<Self> {
        if subject.is_none() {
            return self.clone();
        }
        Arc::new(Self {
            subject,
            ..self.with_person(self.person.clone())
        })
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

    pub(super) fn push(&self, encoded: &EncodedFrame) {
        if let Location::Local(here) = &self.location {
            here.send_queue.push(encoded.clone());
        }
    }

    /// Closes the connection, if it is to this node.
    pub fn close(&self, why: CloseCode) {
        if let Location::Local(here) = &self.location {
            here.send_queue.close(why);
        }
    }

    /// The other node; none for this one.
    #[must_use]
    pub fn remote_node(&self) -> Option<NodeId> {
        match &self.location {
            Location::Local(_) => None,
            Location::Remote(node, _) => Some(*node),
        }
    }

    /// Whether frames to `other` reach the same connection.
    #[must_use]
    pub fn has_route_of(&self, other: &Self) -> bool {
        match (&self.location, &other.location) {
            (Location::Local(here), Location::Local(other)) => {
                Arc::ptr_eq(&here.send_queue, &other.send_queue)
            }
            (Location::Remote(node, _), Location::Remote(other, _)) => node == other,
            (Location::Local(_), Location::Remote(..))
            | (Location::Remote(..), Location::Local(_)) => false,
        }
    }

    /// Bytes queued; zero for another node's connection.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        match &self.location {
            Location::Local(here) => here.send_queue.queued_bytes(),
            Location::Remote(..) => 0,
        }
    }

    pub(super) fn is_of(&self, session: &str) -> bool {
        matches!(&self.location, Location::Local(here) if here.token_hash == session)
    }

    /// Hash of the session token; none for another node's connection.
    #[must_use]
    pub fn token_hash(&self) -> Option<&str> {
        match &self.location {
            Location::Local(here) => Some(&here.token_hash),
            Location::Remote(..) => None,
        }
    }

    /// Records that a message has just arrived.
    pub fn mark_received(&self) {
        if let Location::Local(here) = &self.location {
            here.last_received_at.store(here.age(), Ordering::Relaxed);
        }
    }

    pub(super) fn is_silent(&self, timeout: Duration) -> bool {
        match &self.location {
            Location::Local(here) => here.silence() > timeout,
            Location::Remote(..) => false,
        }
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
