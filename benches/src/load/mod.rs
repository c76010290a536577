//! The load generator: one thread that opens thousands of subscriptions, publishes, and records what arrives
//! and when.

pub mod conn;
pub mod crowd;
pub mod http;
pub mod latencies;
pub mod marker;
pub mod publish;
pub mod requester;
pub mod sequence;
pub mod sse;
pub mod subscriber;
pub mod ws;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use mio::{Events, Poll, Token};

use self::{
    latencies::Latencies,
    publish::{PublishMethod, Publisher, PublisherConnection},
    requester::{NextRequest, Requester},
    sequence::DeliveryErrors,
    subscriber::{SubscribeHandshake, Subscriber},
};
use crate::clock;

/// Subscribers have lower ones.
const FIRST_REQUESTER_TOKEN: usize = 1 << 24;

/// At the same time.
const MAX_CONNECTING: usize = 128;

/// The load generator.
pub struct LoadGenerator {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// Addresses from which subscribers connect; empty: the kernel chooses.
    sources: Vec<IpAddr>,
    /// All subscribers.
    pub subscribers: Vec<Subscriber>,
    /// Publishers and probes over HTTP.
    pub requesters: Vec<Requester>,
    publishers: Vec<Publisher>,
    publish_method: Option<PublishMethod>,
    payload_bytes: usize,
    latencies: Latencies,
    delivered: u64,
    received_bytes: u64,
    expected: u64,
}

impl fmt::Debug for LoadGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadGenerator")
            .field("subscribers", &self.subscribers.len())
            .finish_non_exhaustive()
    }
}

impl LoadGenerator {
    /// A generator without connections.
    pub fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            buffer: vec![0; 256 * 1024],
            sources: Vec::new(),
            subscribers: Vec::new(),
            requesters: Vec::new(),
            publishers: Vec::new(),
            publish_method: None,
            payload_bytes: marker::PAYLOAD_BYTES,
            latencies: Latencies::default(),
            delivered: 0,
            received_bytes: 0,
            expected: 0,
        })
    }

    /// Connects the next subscribers from these addresses in turn.
    pub fn set_sources(&mut self, sources: Vec<IpAddr>) {
        self.sources = sources;
    }

    /// Connects subscribers, the n-th in channel n modulo `channels`. Fails after a timeout, or when more
    /// than a tenth is rejected.
    pub fn subscribe(
        &mut self,
        address: SocketAddr,
        handshakes: Vec<SubscribeHandshake>,
        channels: usize,
    ) -> Result<()> {
        let deadline = Instant::now()
            + Duration::from_mins(1)
            + Duration::from_millis(20) * u32::try_from(handshakes.len())?;
        let (first, count, mut turned_away) = (self.subscribers.len(), handshakes.len(), 0);
        let mut handshakes = handshakes.into_iter();
        loop {
            let open = self.subscribers[first..]
                .iter()
                .filter(|subscriber| !subscriber.is_ready())
                .count();
            let more: Vec<_> = handshakes
                .by_ref()
                .take(MAX_CONNECTING - open.min(MAX_CONNECTING))
                .collect();
            if open == 0 && more.is_empty() {
                if turned_away > 0 {
                    // Standard output may be a report's.
                    eprintln!("    {turned_away} subscribers were rejected and tried again");
                }
                return Ok(());
            }
            for handshake in more {
                self.connect(address, handshake, channels)?;
            }
            self.poll_once(Duration::from_millis(20))?;
            turned_away += self.retry(address)?;
            if turned_away > count / 10 || Instant::now() > deadline {
                let ready = self.subscribers.iter().filter(|one| one.is_ready()).count();
                let first_bytes = self
                    .subscribers
                    .iter()
                    .find(|one| !one.first_bytes.is_empty());
                let first_bytes =
                    first_bytes.map(|one| String::from_utf8_lossy(&one.first_bytes).into_owned());
                bail!(
                    "{ready} subscribed, {turned_away} rejected, the others timed out; {}",
                    first_bytes.unwrap_or_default()
                );
            }
        }
    }

    /// Returns their number.
    fn retry(&mut self, address: SocketAddr) -> Result<usize> {
        let mut count = 0;
        for (index, subscriber) in self.subscribers.iter_mut().enumerate() {
            if subscriber.is_ended() {
                subscriber.retry(address, self.poll.registry(), Token(index))?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Starts one subscription without waiting.
    pub fn connect(
        &mut self,
        address: SocketAddr,
        handshake: SubscribeHandshake,
        channels: usize,
    ) -> Result<()> {
        let index = self.subscribers.len();
        let source = match self.sources.len() {
            0 => None,
            count => Some(self.sources[index % count]),
        };
        let subscriber = Subscriber::connect(
            address,
            source,
            self.poll.registry(),
            Token(index),
            handshake,
            index % channels,
        )?;
        self.subscribers.push(subscriber);
        Ok(())
    }

    /// Subscribers whose connection has ended.
    pub fn ended_count(&self) -> usize {
        self.subscribers.iter().filter(|one| one.is_ended()).count()
    }

    /// Adds a probe that repeats `next`. Returns its index in `requesters`.
    pub fn add_probe(&mut self, address: SocketAddr, next: NextRequest) -> Result<usize> {
        self.add_requester(address, Some(next))
    }

    /// Adds an HTTP client; with `next`, it sends one request after another. Returns its index in `requesters`.
    pub fn add_requester(
        &mut self,
        address: SocketAddr,
        next: Option<NextRequest>,
    ) -> Result<usize> {
        let index = self.requesters.len();
        let token = Token(FIRST_REQUESTER_TOKEN + index);
        let requester = Requester::connect(address, self.poll.registry(), token, next)?;
        self.requesters.push(requester);
        Ok(index)
    }

    /// Closes all probes and publishers.
    pub fn close_requesters(&mut self) {
        self.requesters.clear();
        self.publishers.clear();
    }

    /// Adds publishers, the n-th for channel n modulo `channels`.
    pub fn add_publishers(
        &mut self,
        publish_method: PublishMethod,
        count: usize,
        channels: usize,
    ) -> Result<()> {
        for index in 0..count {
            let via = match &publish_method {
                PublishMethod::Http { address, .. } => {
                    PublisherConnection::Requester(self.add_requester(*address, None)?)
                }
                PublishMethod::Subscribers { .. } => PublisherConnection::Subscriber(index),
            };
            self.publishers.push(Publisher {
                connection: via,
                channel: index % channels,
                published: 0,
            });
        }
        self.publish_method = Some(publish_method);
        Ok(())
    }

    /// Size of the payloads from now on.
    pub fn set_payload_bytes(&mut self, bytes: usize) {
        self.payload_bytes = bytes;
    }

    /// The last `count` subscribers stop reading.
    pub fn stop_reading(&mut self, count: usize) -> Result<()> {
        let from = self.subscribers.len() - count;
        for subscriber in &mut self.subscribers[from..] {
            subscriber.is_stuck = true;
            subscriber.conn.ignore(self.poll.registry())?;
        }
        Ok(())
    }

    /// Handles events, after at most `wait`.
    pub fn poll_once(&mut self, wait: Duration) -> Result<()> {
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait))
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &self.events {
            let Token(token) = event.token();
            if token >= FIRST_REQUESTER_TOKEN {
                let Some(requester) = self.requesters.get_mut(token - FIRST_REQUESTER_TOKEN) else {
                    continue;
                };
                if event.is_writable() {
                    requester.on_writable();
                }
                if event.is_readable() {
                    requester.read(&mut self.buffer);
                }
                continue;
            }
            let Some(subscriber) = self.subscribers.get_mut(token) else {
                continue;
            };
            if event.is_writable() {
                subscriber.conn.on_writable();
            }
            if event.is_readable() {
                let now = clock::monotonic_nanos();
                let (latencies, delivered) = (&mut self.latencies, &mut self.delivered);
                self.received_bytes += subscriber.read(&mut self.buffer, |marker| {
                    *delivered += 1;
                    latencies.record(now.saturating_sub(marker.due_nanos));
                });
            }
        }
        Ok(())
    }

    /// Handles events for `time`.
    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.poll_once(left.min(Duration::from_millis(20)))?;
        }
        Ok(())
    }

    /// Handles events until every message is delivered, or nothing was for `timeout`.
    pub fn drain(&mut self, timeout: Duration) -> Result<()> {
        let (mut last, mut since) = (self.delivered, Instant::now());
        while self.delivered < self.expected && since.elapsed() < timeout {
            self.poll_once(Duration::from_millis(5))?;
            if self.delivered > last {
                (last, since) = (self.delivered, Instant::now());
            }
        }
        Ok(())
    }

    /// Messages delivered for the first time.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Bytes that subscribers have received.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Missing deliveries.
    pub fn outstanding(&self) -> u64 {
        self.expected.saturating_sub(self.delivered)
    }

    /// Takes the latencies since the last call.
    pub fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }

    /// Why the first request was refused.
    pub fn first_refusal(&self) -> Option<&str> {
        self.requesters
            .iter()
            .find_map(|one| one.first_refusal.as_deref())
    }

    /// Refused requests of publishers and probes.
    pub fn refused_count(&self) -> u64 {
        self.requesters
            .iter()
            .map(|requester| requester.refused_count)
            .sum()
    }

    /// Of all subscribers that have not stopped reading.
    pub fn delivery_errors(&self) -> DeliveryErrors {
        let mut errors = DeliveryErrors::default();
        for subscriber in self.subscribers.iter().filter(|one| !one.is_stuck) {
            for (index, publisher) in self.publishers.iter().enumerate() {
                if publisher.channel == subscriber.channel {
                    errors.add(subscriber.delivery_errors(index, publisher.published));
                }
            }
        }
        errors
    }
}
