//! The load generator: one thread that subscribes thousands of times, publishes, and notes what comes and when.
//!
//! | file | what is in it |
//! |---|---|
//! | `marker` | the marker inside every payload, and finding it again |
//! | `sequence` | what one subscriber got of each publisher |
//! | `histogram` | latencies |
//! | `conn` | one connection |
//! | `subscriber` | one who listens |
//! | `caller` | one who makes HTTP requests: a publisher or a probe |
//! | `publish` | how a peer is published to, and at what pace |
//! | `sse`, `ws`, `http` | the bytes of each |

pub mod conn;
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
    net::SocketAddr,
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

/// Tokens from here on are callers.
const FIRST_REQUESTER_TOKEN: usize = 1 << 24;

/// How many subscribers connect at the same time.
const MAX_CONNECTING: usize = 128;

/// The load generator.
pub struct LoadGenerator {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// Everybody who listens.
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
        f.debug_struct("Load")
            .field("subscribers", &self.subscribers.len())
            .finish_non_exhaustive()
    }
}

impl LoadGenerator {
    /// A generator without any connection.
    pub fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            buffer: vec![0; 256 * 1024],
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

    /// Subscribes, with the n-th subscriber in group n modulo `groups`, and waits until everybody is subscribed.
    pub fn subscribe(
        &mut self,
        address: SocketAddr,
        openings: Vec<SubscribeHandshake>,
        channels: usize,
    ) -> Result<()> {
        let deadline = Instant::now()
            + Duration::from_mins(1)
            + Duration::from_millis(20) * u32::try_from(openings.len())?;
        let (first, count, mut turned_away) = (self.subscribers.len(), openings.len(), 0);
        let mut openings = openings.into_iter();
        loop {
            let open = self.subscribers[first..]
                .iter()
                .filter(|subscriber| !subscriber.is_ready())
                .count();
            let more: Vec<_> = openings
                .by_ref()
                .take(MAX_CONNECTING - open.min(MAX_CONNECTING))
                .collect();
            if open == 0 && more.is_empty() {
                if turned_away > 0 {
                    println!("    {turned_away} were turned away and asked again");
                }
                return Ok(());
            }
            for opening in more {
                self.connect(address, opening, channels)?;
            }
            self.poll_once(Duration::from_millis(20))?;
            turned_away += self.retry(address)?;
            if turned_away > count / 10 || Instant::now() > deadline {
                let ready = self.subscribers.iter().filter(|one| one.is_ready()).count();
                let said = self
                    .subscribers
                    .iter()
                    .find(|one| !one.first_bytes.is_empty());
                let said = said.map(|one| String::from_utf8_lossy(&one.first_bytes).into_owned());
                bail!(
                    "{ready} subscribed, {turned_away} were turned away, the rest took too long; {}",
                    said.unwrap_or_default()
                );
            }
        }
    }

    /// Everybody who was turned away asks again. Returns how many.
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

    /// Begins one subscription and does not wait.
    pub fn connect(
        &mut self,
        address: SocketAddr,
        opening: SubscribeHandshake,
        groups: usize,
    ) -> Result<()> {
        let index = self.subscribers.len();
        let subscriber = Subscriber::connect(
            address,
            self.poll.registry(),
            Token(index),
            opening,
            index % groups,
        )?;
        self.subscribers.push(subscriber);
        Ok(())
    }

    /// How many subscribers the server ended.
    pub fn ended_count(&self) -> usize {
        self.subscribers.iter().filter(|one| one.is_ended()).count()
    }

    /// Adds one who asks `next` again and again, and returns its place in `callers`.
    pub fn add_probe(&mut self, address: SocketAddr, next: NextRequest) -> Result<usize> {
        self.add_requester(address, Some(next))
    }

    fn add_requester(&mut self, address: SocketAddr, next: Option<NextRequest>) -> Result<usize> {
        let index = self.requesters.len();
        let token = Token(FIRST_REQUESTER_TOKEN + index);
        let caller = Requester::connect(address, self.poll.registry(), token, next)?;
        self.requesters.push(caller);
        Ok(index)
    }

    /// Closes the connections of all probes and publishers.
    pub fn close_requesters(&mut self) {
        self.requesters.clear();
        self.publishers.clear();
    }

    /// Makes publishers. The n-th publishes to group n modulo `groups`.
    pub fn add_publishers(
        &mut self,
        publishing: PublishMethod,
        count: usize,
        groups: usize,
    ) -> Result<()> {
        for index in 0..count {
            let via = match &publishing {
                PublishMethod::Http { address, .. } => {
                    PublisherConnection::Requester(self.add_requester(*address, None)?)
                }
                PublishMethod::Subscribers { .. } => PublisherConnection::Subscriber(index),
            };
            self.publishers.push(Publisher {
                connection: via,
                channel: index % groups,
                published: 0,
            });
        }
        self.publish_method = Some(publishing);
        Ok(())
    }

    /// From now on payloads have so many bytes.
    pub fn set_payload_bytes(&mut self, bytes: usize) {
        self.payload_bytes = bytes;
    }

    /// Everybody in the last `count` stops reading.
    pub fn stop_reading(&mut self, count: usize) -> Result<()> {
        let from = self.subscribers.len() - count;
        for subscriber in &mut self.subscribers[from..] {
            subscriber.is_stuck = true;
            subscriber.conn.ignore(self.poll.registry())?;
        }
        Ok(())
    }

    /// Waits at most so long for events and deals with them.
    pub fn poll_once(&mut self, wait: Duration) -> Result<()> {
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait))
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &self.events {
            let Token(token) = event.token();
            if token >= FIRST_REQUESTER_TOKEN {
                let Some(caller) = self.requesters.get_mut(token - FIRST_REQUESTER_TOKEN) else {
                    continue;
                };
                if event.is_writable() {
                    caller.on_writable();
                }
                if event.is_readable() {
                    caller.read(&mut self.buffer);
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

    /// Keeps taking what comes for a while.
    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.poll_once(left.min(Duration::from_millis(20)))?;
        }
        Ok(())
    }

    /// Takes what comes until everything published has arrived, or nothing came for `patience`.
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

    /// Messages delivered for the first time, so far.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Bytes that came for subscribers, so far.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// What was sent and has not been delivered yet, in deliveries.
    pub fn outstanding(&self) -> u64 {
        self.expected.saturating_sub(self.delivered)
    }

    /// The latencies since this was last asked.
    pub fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }

    /// Why the first request of a publisher or probe was refused.
    pub fn first_refusal(&self) -> Option<&str> {
        self.requesters
            .iter()
            .find_map(|one| one.first_refusal.as_deref())
    }

    /// Requests of publishers and probes that were refused.
    pub fn refused_count(&self) -> u64 {
        self.requesters
            .iter()
            .map(|caller| caller.refused_count)
            .sum()
    }

    /// What went wrong with everybody who was not stuck.
    pub fn delivery_errors(&self) -> DeliveryErrors {
        let mut wrong = DeliveryErrors::default();
        for subscriber in self.subscribers.iter().filter(|one| !one.is_stuck) {
            for (index, publisher) in self.publishers.iter().enumerate() {
                if publisher.channel == subscriber.channel {
                    wrong.add(subscriber.delivery_errors(index, publisher.published));
                }
            }
        }
        wrong
    }
}
