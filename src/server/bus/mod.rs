//! Messages between the nodes of one community, through NATS. A single node has no bus.
//!
//! The store is authoritative, and messages may be lost. A loss shows by sequence (events), count (client changes) or
//! missing reply (requests).
//!
//! | subject | subscriber |
//! |---|---|
//! | `rialto.COMMUNITY.all` | every node |
//! | `rialto.COMMUNITY.node.ID` | one node |
//! | `rialto.COMMUNITY.ROLE` | that role's leader, which replies |
//!
//! COMMUNITY is the epoch of the news: communities may share NATS, and a replaced store is another community.

pub mod client_list;
pub mod message;

pub use client_list::{ClientListAssembly, ListPart};
pub use message::{ClientChange, ConnectedClient, Envelope, Message, NodeId, RemoteCommand};

use super::random;
use crate::model::Epoch;
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use bytes::Bytes;
use futures::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Queued while NATS is unreachable; receivers detect dropped ones.
const MAX_QUEUED_MESSAGES: usize = 8_192;
/// Afterwards the server starts without the bus.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// NATS counts as unreachable after three intervals without an answer.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);
const LEADER_REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// Another node leads within this time.
const NO_LEADER_TIMEOUT: Duration = Duration::from_secs(8);
const LEADER_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Sends messages to other nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    node: NodeId,
    community: Arc<str>,
    client: Client,
    outgoing: mpsc::Sender<(String, Bytes)>,
    connected: watch::Receiver<bool>,
}

/// Receives messages of other nodes.
#[derive(Debug)]
pub struct Inbox {
    node: NodeId,
    subscriptions: stream::Select<Subscriber, Subscriber>,
}

/// Why the bus cannot be used, as text for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BusError(String);

/// No node leads in a role, or NATS is unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no node leads at the moment")]
pub struct NoLeader;

/// A role in which one node leads: the last part of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderRole(pub &'static str);

impl Bus {
    /// Connects to NATS, if necessary in the background.
    ///
    /// # Errors
    /// When the address is invalid, or NATS refuses.
    pub async fn connect(url: &str, community: &Epoch) -> Result<(Self, Inbox), BusError> {
        let node = NodeId(random::new_id());
        let (connected_is, connected) = watch::channel(false);
        let connected_is = Arc::new(connected_is);
        let wrong = |why: std::io::Error| BusError(format!("{why}. Use the form nats://host:4222"));
        let address: ServerAddr = url.parse().map_err(wrong)?;
        // The library ignores credentials in the address.
        let options = match (address.username(), address.password()) {
            (Some(user), Some(password)) => ConnectOptions::with_user_and_password(
                percent_decode(user),
                percent_decode(password),
            ),
            (Some(token), None) => ConnectOptions::with_token(percent_decode(token)),
            (None, _) => ConnectOptions::new(),
        };
        let client = options
            .name(format!("rialto {node}"))
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .retry_on_initial_connect()
            .reconnect_delay_callback(|tries| {
                let tries = u32::try_from(tries).unwrap_or(u32::MAX);
                MAX_RECONNECT_DELAY.min(Duration::from_millis(50).saturating_mul(tries))
            })
            .event_callback(move |event| {
                let connected_is = connected_is.clone();
                async move {
                    match event {
                        Event::Connected => {
                            tracing::info!("the bus is connected");
                            connected_is.send_replace(true);
                        }
                        Event::Disconnected | Event::Closed => {
                            tracing::warn!(
                                "the bus is disconnected; events of other nodes are read from the store until it reconnects"
                            );
                            connected_is.send_replace(false);
                        }
                        other => tracing::debug!(%other, "event of the bus"),
                    }
                }
            })
            .connect(address)
            .await
            .map_err(|why| BusError(format!("{why}. Use the form nats://host:4222")))?;
        let (out, waiting) = mpsc::channel(MAX_QUEUED_MESSAGES);
        tokio::spawn(publish_outgoing(client.clone(), waiting));
        let bus = Self {
            node,
            community: community.0.as_str().into(),
            client,
            outgoing: out,
            connected,
        };
        let messages = stream::select(
            bus.subscribe(&bus.subject("all")).await?,
            bus.subscribe(&bus.node_subject(node)).await?,
        );
        Ok((
            bus,
            Inbox {
                node,
                subscriptions: messages,
            },
        ))
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

    /// Sends a message to every other node. Never waits.
    pub fn broadcast(&self, message: Message) {
        self.send(self.subject("all"), message);
    }

    /// Sends a message to one node. Never waits.
    pub fn send_to(&self, to: NodeId, message: Message) {
        self.send(self.node_subject(to), message);
    }

    /// Sends a request to a role's leader until it is acknowledged; the leader may get it repeatedly.
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
                let answer = self.client.request(self.subject(role.0), bytes.clone());
                match tokio::time::timeout(LEADER_REPLY_TIMEOUT, answer).await {
                    Ok(Ok(_)) => return Ok(()),
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
    pub async fn subscribe_as_leader(&self, role: LeaderRole) -> Result<Subscriber, BusError> {
        self.subscribe(&self.subject(role.0)).await
    }

    /// Replies that a request is handled.
    pub async fn acknowledge(&self, request: async_nats::Message) {
        if let Some(to) = request.reply {
            // After a lost reply the sender retries.
            let _ = self.client.publish(to, Bytes::new()).await;
        }
    }

    /// Waits until all queued messages are sent.
    pub async fn flush(&self) {
        while self.outgoing.capacity() < self.outgoing.max_capacity() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let _ = self.client.flush().await;
    }

    fn send(&self, subject: String, message: Message) {
        let from = self.node;
        let envelope = Envelope { from, message };
        let bytes = serde_json::to_vec(&envelope).unwrap_or_default();
        if self.outgoing.try_send((subject, bytes.into())).is_err() {
            tracing::debug!("a message was dropped because the queue of the bus is full");
        }
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscriber, BusError> {
        let subscribed = self.client.subscribe(subject.to_owned()).await;
        subscribed.map_err(|why| BusError(format!("the subscription failed: {why}")))
    }

    fn subject(&self, suffix: &str) -> String {
        format!("rialto.{}.{suffix}", self.community)
    }

    fn node_subject(&self, node: NodeId) -> String {
        self.subject(&format!("node.{node}"))
    }
}

fn percent_decode(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

async fn publish_outgoing(client: Client, mut waiting: mpsc::Receiver<(String, Bytes)>) {
    while let Some((subject, bytes)) = waiting.recv().await {
        if let Err(why) = client.publish(subject, bytes).await {
            tracing::warn!(%why, "a message to other nodes could not be sent");
        }
    }
}

impl Inbox {
    /// The next message of another node; none once the bus is closed for good.
    pub async fn next(&mut self) -> Option<Envelope> {
        loop {
            let message = self.subscriptions.next().await?;
            match serde_json::from_slice::<Envelope>(&message.payload) {
                Ok(envelope) if envelope.from != self.node => return Some(envelope),
                Ok(_) => {}
                // For example, from another version.
                Err(why) => {
                    tracing::warn!(%why, "a message of another node could not be decoded");
                }
            }
        }
    }
}
