//! The bus: what the nodes of one community tell one another, through NATS.
//!
//! It makes things quick, and is the truth about nothing. What is said here may be lost, and every part says how that is
//! noticed: events of the log by their sequence, pages by a count of their changes, calls because whoever asks waits for an
//! answer. A node that stands alone has no bus.
//!
//! | subject | who hears it |
//! |---|---|
//! | `rialto.COMMUNITY.all` | every node |
//! | `rialto.COMMUNITY.node.ID` | one node |
//! | `rialto.COMMUNITY.desk` | the node that holds the desk of calls; it answers |
//!
//! COMMUNITY is the epoch of the news: two communities may share a NATS server, and a store that was replaced is another one.

pub mod message;

pub use message::{
    CallRequest, ClientChange, ConnectedClient, Envelope, Message, NodeId, RemoteCommand,
};

use super::random;
use crate::model::Epoch;
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use bytes::Bytes;
use futures::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// How many messages may wait to be sent, while NATS is away say. What comes after them is lost, which is noticed.
const MAX_QUEUED_MESSAGES: usize = 8_192;
/// How long NATS may take to accept a connection before the server starts without it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest between two tries to connect again.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// How long the desk may take to answer one question.
const LEADER_REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a question is repeated while nobody holds the desk. Another node takes it within this time.
const NO_LEADER_TIMEOUT: Duration = Duration::from_secs(8);
/// How long to wait before a question is repeated.
const LEADER_RETRY_DELAY: Duration = Duration::from_millis(200);

/// The way to the other nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    node: NodeId,
    community: Arc<str>,
    client: Client,
    outgoing: mpsc::Sender<(String, Bytes)>,
    connected: watch::Receiver<bool>,
}

/// What the other nodes say.
#[derive(Debug)]
pub struct Inbox {
    node: NodeId,
    subscriptions: stream::Select<Subscriber, Subscriber>,
}

/// What was set for the bus is wrong, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BusError(String);

/// Nobody holds the desk, or NATS is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no node answers for calls just now")]
pub struct NoLeader;

impl Bus {
    /// Connects to NATS, and goes on trying in the background if it does not answer in time.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub async fn connect(url: &str, community: &Epoch) -> Result<(Self, Inbox), BusError> {
        let node = NodeId(random::new_id());
        let (connected_is, connected) = watch::channel(false);
        let connected_is = Arc::new(connected_is);
        let wrong =
            |why: std::io::Error| BusError(format!("{why}. Write it like nats://host:4222"));
        let address: ServerAddr = url.parse().map_err(wrong)?;
        // The library takes who connects from here alone, and not from the address.
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
                                "the bus is gone: other nodes are caught up with through the store until it is back"
                            );
                            connected_is.send_replace(false);
                        }
                        other => tracing::debug!(%other, "the bus"),
                    }
                }
            })
            .connect(address)
            .await
            .map_err(|why| BusError(format!("{why}. Write it like nats://host:4222")))?;
        let (out, waiting) = mpsc::channel(MAX_QUEUED_MESSAGES);
        tokio::spawn(publish_outgoing(client.clone(), waiting));
        let bus = Self {
            node,
            community: community.0.as_str().into(),
            client,
            outgoing: out,
            connected,
        };
        let heard = stream::select(
            bus.subscribe(&bus.subject("all")).await?,
            bus.subscribe(&bus.node_subject(node)).await?,
        );
        Ok((
            bus,
            Inbox {
                node,
                subscriptions: heard,
            },
        ))
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Whether NATS is there, and when that changes.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Tells every other node. Never waits.
    pub fn broadcast(&self, message: Message) {
        self.send(self.subject("all"), message);
    }

    /// Tells one node. Never waits.
    pub fn send_to(&self, to: NodeId, message: Message) {
        self.send(self.node_subject(to), message);
    }

    /// Passes on what a page asks about a call, and waits until it was dealt with. A question may be dealt with twice, if its
    /// answer is lost.
    ///
    /// # Errors
    /// [`NoDesk`] when no node answers for eight seconds, and at once when NATS is away.
    pub async fn ask_leader(&self, request: &CallRequest) -> Result<(), NoLeader> {
        // Our own types to JSON cannot fail; an empty question would be answered and come to nothing.
        let bytes = Bytes::from(serde_json::to_vec(request).unwrap_or_default());
        let asked = async {
            // Nobody waits for a bus that is away: whatever else a page says comes after this.
            while *self.connected.borrow() {
                let answer = self.client.request(self.subject("desk"), bytes.clone());
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

    /// What is asked of the desk, for the node that holds it. Each question is to be given to [`Self::answered`].
    ///
    /// # Errors
    /// When NATS refuses.
    pub async fn subscribe_as_leader(&self) -> Result<Subscriber, BusError> {
        self.subscribe(&self.subject("desk")).await
    }

    /// Tells whoever asked the desk that it was dealt with.
    pub async fn acknowledge(&self, request: async_nats::Message) {
        if let Some(to) = request.reply {
            // Whoever asked asks again.
            let _ = self.client.publish(to, Bytes::new()).await;
        }
    }

    /// Sends what waits, for a shutdown.
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
            tracing::debug!("more waits for the bus than it takes");
        }
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscriber, BusError> {
        let subscribed = self.client.subscribe(subject.to_owned()).await;
        subscribed.map_err(|why| BusError(format!("it cannot be listened to: {why}")))
    }

    fn subject(&self, suffix: &str) -> String {
        format!("rialto.{}.{suffix}", self.community)
    }

    fn node_subject(&self, node: NodeId) -> String {
        self.subject(&format!("node.{node}"))
    }
}

/// A part of an address, without its percent signs (RFC 3986 section 2.1).
fn percent_decode(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// Sends in order.
async fn publish_outgoing(client: Client, mut waiting: mpsc::Receiver<(String, Bytes)>) {
    while let Some((subject, bytes)) = waiting.recv().await {
        if let Err(why) = client.publish(subject, bytes).await {
            tracing::warn!(%why, "something was not told to the other nodes");
        }
    }
}

impl Inbox {
    /// The next thing that another node says; none when the bus is closed for good.
    pub async fn next(&mut self) -> Option<Envelope> {
        loop {
            let message = self.subscriptions.next().await?;
            match serde_json::from_slice::<Envelope>(&message.payload) {
                Ok(envelope) if envelope.from != self.node => return Some(envelope),
                Ok(_) => {}
                // A node of another version, say, in the middle of an update.
                Err(why) => {
                    tracing::warn!(%why, "another node said something that is not understood");
                }
            }
        }
    }
}
