//! What carries messages between nodes: NATS, or a broker in the simulation.

use super::{BusError, NodeId};
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use percent_encoding::percent_decode_str;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::watch;

/// Afterwards the server starts without the bus.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// NATS counts as unreachable after three intervals without an answer.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) enum Transport {
    Nats(Client),
    #[cfg(test)]
    Simulated(super::simulated::Link),
}

/// A message as it arrives.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub payload: Bytes,
    /// Subject for the reply, if one is awaited.
    pub reply: Option<String>,
}

/// The messages of a subject, in order of arrival.
#[derive(Debug)]
pub struct Subscription(Source);

#[derive(Debug)]
enum Source {
    Nats(Subscriber),
    #[cfg(test)]
    Simulated(tokio::sync::mpsc::UnboundedReceiver<Incoming>),
}

impl Transport {
    pub(super) async fn connect_to_nats(
        url: &str,
        node: NodeId,
    ) -> Result<(Self, watch::Receiver<bool>), BusError> {
        let (connected_tx, connected) = watch::channel(false);
        let connected_tx = Arc::new(connected_tx);
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
                let connected_tx = connected_tx.clone();
                async move {
                    match event {
                        Event::Connected => {
                            tracing::info!("the bus is connected");
                            connected_tx.send_replace(true);
                        }
                        Event::Disconnected | Event::Closed => {
                            tracing::warn!(
                                "the bus is disconnected; events of other nodes are read from the store until it reconnects"
                            );
                            connected_tx.send_replace(false);
                        }
                        other => tracing::debug!(%other, "event of the bus"),
                    }
                }
            })
            .connect(address)
            .await
            .map_err(|why| BusError(format!("{why}. Use the form nats://host:4222")))?;
        Ok((Self::Nats(client), connected))
    }

    pub(super) async fn publish(&self, subject: String, payload: Bytes) -> Result<(), BusError> {
        match self {
            Self::Nats(client) => {
                let published = client.publish(subject, payload).await;
                published.map_err(|why| BusError(why.to_string()))
            }
            #[cfg(test)]
            Self::Simulated(link) => {
                link.publish(&subject, payload, None);
                Ok(())
            }
        }
    }

    /// Fails at once if nobody subscribes to the subject.
    pub(super) async fn request(&self, subject: String, payload: Bytes) -> Result<(), BusError> {
        match self {
            Self::Nats(client) => {
                let replied = client.request(subject, payload).await;
                replied.map(drop).map_err(|why| BusError(why.to_string()))
            }
            #[cfg(test)]
            Self::Simulated(link) => link.request(&subject, payload).await,
        }
    }

    pub(super) async fn subscribe(&self, subject: String) -> Result<Subscription, BusError> {
        match self {
            Self::Nats(client) => {
                let subscribed = client.subscribe(subject).await;
                let source = subscribed
                    .map_err(|why| BusError(format!("the subscription failed: {why}")))?;
                Ok(Subscription(Source::Nats(source)))
            }
            #[cfg(test)]
            Self::Simulated(link) => {
                let source = link.subscribe(&subject);
                Ok(Subscription(Source::Simulated(source)))
            }
        }
    }

    pub(super) async fn flush(&self) {
        match self {
            Self::Nats(client) => drop(client.flush().await),
            #[cfg(test)]
            Self::Simulated(_) => {}
        }
    }
}

impl Stream for Subscription {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Incoming>> {
        match &mut self.0 {
            Source::Nats(source) => source.poll_next_unpin(context).map(|message| {
                message.map(|message| Incoming {
                    payload: message.payload,
                    reply: message.reply.map(|subject| subject.to_string()),
                })
            }),
            #[cfg(test)]
            Source::Simulated(source) => source.poll_recv(context),
        }
    }
}

fn percent_decode(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}
