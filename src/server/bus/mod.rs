//! Messages between the nodes of one community, through NATS. A single node has no bus.
//!
//! The store is authoritative; messages may be lost. Sequences (events), counts (client changes), missing replies
//! (requests) and numbers (others) show a loss; nodes then send again what still matters.
//!
//! | subject | subscriber |
//! |---|---|
//! | `rialto.COMMUNITY.all` | every node |
//! | `rialto.COMMUNITY.node.ID` | one node |
//! | `rialto.COMMUNITY.ROLE` | that role's leader, which replies |
//!
//! COMMUNITY is the epoch of the news. Communities may share NATS; a replaced store is another community.

pub mod client_list;
pub mod message;
pub mod numbering;
#[cfg(test)]
pub(crate) mod simulated;
mod transport;

pub use client_list::{ClientListAssembly, ListPart};
pub use message::{ClientChange, ConnectedClient, Envelope, Message, NodeId, RemoteCommand};
pub use numbering::{Channel, ReceivedCounts, SentCounts};
pub use transport::{Incoming, Subscription};

use super::{random, task};
use crate::model::Epoch;
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde::Serialize;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use transport::Transport;

/// Further messages are dropped, which receivers detect.
const MAX_QUEUED_MESSAGES: usize = 8_192;
const LEADER_REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// Another node leads within this time.
const NO_LEADER_TIMEOUT: Duration = Duration::from_secs(8);
const LEADER_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Sends messages to other nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    node: NodeId,
    community: Arc<str>,
    transport: Transport,
    outgoing: mpsc::Sender<(String, Bytes)>,
    /// Held while queueing, so that the numbers are in order.
    sent: Arc<Mutex<SentCounts>>,
    connected: watch::Receiver<bool>,
}

/// Receives messages of other nodes.
pub struct Inbox {
    node: NodeId,
    subscriptions: BoxStream<'static, (Channel, Incoming)>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// Why the bus cannot be used, as text for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BusError(String);

/// No node leads in a role, or NATS is unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no node leads at the moment")]
pub struct NoLeader;

/// A role in which one node leads, named by the last part of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderRole(pub &'static str);

impl Bus {
    /// Connects to NATS, if necessary in the background.
    ///
    /// # Errors
    /// When the address is invalid, or NATS refuses.
    pub async fn connect(url: &str, community: &Epoch) -> Result<(Self, Inbox), BusError> {
        let node = NodeId(random::new_id());
        let (transport, connected) = Transport::connect_to_nats(url, node).await?;
        Self::start(node, transport, connected, community).await
    }

    async fn start(
        node: NodeId,
        transport: Transport,
        connected: watch::Receiver<bool>,
        community: &Epoch,
    ) -> Result<(Self, Inbox), BusError> {
        let (outgoing, outgoing_rx) = mpsc::channel(MAX_QUEUED_MESSAGES);
        task::spawn(publish_outgoing(transport.clone(), outgoing_rx));
        let bus = Self {
            node,
            community: community.0.as_str().into(),
            transport,
            outgoing,
            sent: Arc::default(),
            connected,
        };
        let to_all = bus.transport.subscribe(bus.subject("all")).await?;
        let to_this = bus.transport.subscribe(bus.node_subject(node)).await?;
        let subscriptions = stream::select(
            to_all.map(|message| (Channel::AllNodes, message)),
            to_this.map(|message| (Channel::ThisNode, message)),
        );
        let subscriptions = subscriptions.boxed();
        Ok((
            bus,
            Inbox {
                node,
                subscriptions,
            },
        ))
    }

    #[cfg(test)]
    pub(crate) async fn simulated(link: simulated::Link, community: &Epoch) -> (Self, Inbox) {
        let node = NodeId(random::new_id());
        let connected = link.connected();
        let started = Self::start(node, Transport::Simulated(link), connected, community);
        started
            .await
            .expect("a simulated broker accepts every subscription")
    }

    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Watches whether NATS is connected.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Queues a message for every other node.
    pub fn broadcast(&self, message: Message) {
        let mut sent = self.lock_counts();
        let number = sent.next_to_all();
        self.send(self.subject("all"), number, message);
    }

    /// Queues a heartbeat for every other node.
    pub fn broadcast_heartbeat(&self, change_count: u64) {
        let mut sent = self.lock_counts();
        let number = sent.next_to_all();
        let sent = sent.clone();
        let heartbeat = Message::Heartbeat { change_count, sent };
        self.send(self.subject("all"), number, heartbeat);
    }

    /// Queues a message for one node.
    pub fn send_to(&self, to: NodeId, message: Message) {
        let mut sent = self.lock_counts();
        let number = sent.next_to(to);
        self.send(self.node_subject(to), number, message);
    }

    /// Stops counting messages to a node that stopped.
    pub fn forget(&self, node: NodeId) {
        self.lock_counts().forget(node);
    }

    fn lock_counts(&self) -> MutexGuard<'_, SentCounts> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request to a role's leader until it is acknowledged; the leader may get it more than once.
    ///
    /// # Errors
    /// [`NoLeader`] after eight seconds without a reply, and at once while NATS is disconnected.
    pub async fn ask_leader(
        &self,
        role: LeaderRole,
        request: &impl Serialize,
    ) -> Result<(), NoLeader> {
        let bytes = Bytes::from(serde_json::to_vec(request).unwrap_or_default());
        let asked = async {
            // The client's later frames wait behind this request.
            while *self.connected.borrow() {
                let answer = self.transport.request(self.subject(role.0), bytes.clone());
                match tokio::time::timeout(LEADER_REPLY_TIMEOUT, answer).await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(_)) | Err(_) => tokio::time::sleep(LEADER_RETRY_DELAY).await,
                }
            }
            Err(NoLeader)
        };
        let given_up = tokio::time::timeout(NO_LEADER_TIMEOUT, asked).await;
        given_up.unwrap_or(Err(NoLeader))
    }

    /// Subscribes to a role's requests, each to be passed to [`Self::acknowledge`].
    ///
    /// # Errors
    /// When the subscription fails.
    pub async fn subscribe_as_leader(&self, role: LeaderRole) -> Result<Subscription, BusError> {
        self.transport.subscribe(self.subject(role.0)).await
    }

    /// Replies that a request is handled.
    pub async fn acknowledge(&self, request: Incoming) {
        if let Some(to) = request.reply {
            // After a lost reply the sender retries.
            let _ = self.transport.publish(to, Bytes::new()).await;
        }
    }

    /// Waits until all queued messages are sent.
    pub async fn flush(&self) {
        while self.outgoing.capacity() < self.outgoing.max_capacity() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.transport.flush().await;
    }

    fn send(&self, subject: String, number: u64, message: Message) {
        let envelope = Envelope {
            from: self.node,
            number: Some(number),
            message,
        };
        let bytes = serde_json::to_vec(&envelope).unwrap_or_default();
        if self.outgoing.try_send((subject, bytes.into())).is_err() {
            tracing::debug!("a message was dropped because the queue of the bus is full");
        }
    }

    fn subject(&self, suffix: &str) -> String {
        format!("rialto.{}.{suffix}", self.community)
    }

    fn node_subject(&self, node: NodeId) -> String {
        self.subject(&format!("node.{node}"))
    }
}

async fn publish_outgoing(transport: Transport, mut outgoing_rx: mpsc::Receiver<(String, Bytes)>) {
    while let Some((subject, bytes)) = outgoing_rx.recv().await {
        if let Err(why) = transport.publish(subject, bytes).await {
            tracing::warn!(%why, "a message to other nodes could not be sent");
        }
    }
}

impl Inbox {
    /// The next message of another node; none once the bus is closed.
    pub async fn next(&mut self) -> Option<(Channel, Envelope)> {
        loop {
            let (channel, message) = self.subscriptions.next().await?;
            match serde_json::from_slice::<Envelope>(&message.payload) {
                Ok(envelope) if envelope.from != self.node => return Some((channel, envelope)),
                Ok(_) => {}
                // For example, from another version.
                Err(why) => {
                    tracing::warn!(%why, "a message of another node could not be decoded");
                }
            }
        }
    }
}
