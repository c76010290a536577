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

pub mod caller;
pub mod conn;
pub mod histogram;
pub mod http;
pub mod marker;
pub mod publish;
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
    caller::{Caller, Next},
    histogram::Latencies,
    publish::{Publisher, Publishing, Via},
    sequence::Wrong,
    subscriber::{Opening, Subscriber},
};
use crate::clock;

/// Tokens from here on are callers.
const CALLERS: usize = 1 << 24;

/// How many subscribers connect at the same time.
const CONNECTING: usize = 128;

/// The load generator.
pub struct Load {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// Everybody who listens.
    pub subscribers: Vec<Subscriber>,
    /// Publishers and probes over HTTP.
    pub callers: Vec<Caller>,
    publishers: Vec<Publisher>,
    publishing: Option<Publishing>,
    payload_bytes: usize,
    latencies: Latencies,
    delivered: u64,
    received: u64,
    expected: u64,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("subscribers", &self.subscribers.len())
            .finish_non_exhaustive()
    }
}

impl Load {
    /// A generator without any connection.
    pub fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            buffer: vec![0; 256 * 1024],
            subscribers: Vec::new(),
            callers: Vec::new(),
            publishers: Vec::new(),
            publishing: None,
            payload_bytes: marker::PAYLOAD_BYTES,
            latencies: Latencies::default(),
            delivered: 0,
            received: 0,
            expected: 0,
        })
    }

    /// Subscribes, with the n-th subscriber in group n modulo `groups`, and waits until everybody is subscribed.
    pub fn subscribe(
        &mut self,
        address: SocketAddr,
        openings: Vec<Opening>,
        groups: usize,
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
                .take(CONNECTING - open.min(CONNECTING))
                .collect();
            if open == 0 && more.is_empty() {
                if turned_away > 0 {
                    println!("    {turned_away} were turned away and asked again");
                }
                return Ok(());
            }
            for opening in more {
                self.connect(address, opening, groups)?;
            }
            self.turn(Duration::from_millis(20))?;
            turned_away += self.retry(address)?;
            if turned_away > count / 10 || Instant::now() > deadline {
                let ready = self.subscribers.iter().filter(|one| one.is_ready()).count();
                let said = self.subscribers.iter().find(|one| !one.said.is_empty());
                let said = said.map(|one| String::from_utf8_lossy(&one.said).into_owned());
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
    pub fn connect(&mut self, address: SocketAddr, opening: Opening, groups: usize) -> Result<()> {
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
    pub fn ended(&self) -> usize {
        self.subscribers.iter().filter(|one| one.is_ended()).count()
    }

    /// Adds one who asks `next` again and again, and returns its place in `callers`.
    pub fn probe(&mut self, address: SocketAddr, next: Next) -> Result<usize> {
        self.call(address, Some(next))
    }

    fn call(&mut self, address: SocketAddr, next: Option<Next>) -> Result<usize> {
        let index = self.callers.len();
        let token = Token(CALLERS + index);
        let caller = Caller::connect(address, self.poll.registry(), token, next)?;
        self.callers.push(caller);
        Ok(index)
    }

    /// Closes the connections of all probes and publishers.
    pub fn hang_up(&mut self) {
        self.callers.clear();
        self.publishers.clear();
    }

    /// Makes publishers. The n-th publishes to group n modulo `groups`.
    pub fn publish_with(
        &mut self,
        publishing: Publishing,
        count: usize,
        groups: usize,
    ) -> Result<()> {
        for index in 0..count {
            let via = match &publishing {
                Publishing::Http { address, .. } => Via::Caller(self.call(*address, None)?),
                Publishing::Subscribers { .. } => Via::Subscriber(index),
            };
            self.publishers.push(Publisher {
                via,
                group: index % groups,
                published: 0,
            });
        }
        self.publishing = Some(publishing);
        Ok(())
    }

    /// From now on payloads have so many bytes.
    pub fn set_payload_bytes(&mut self, bytes: usize) {
        self.payload_bytes = bytes;
    }

    /// Everybody in the last `count` stops reading.
    pub fn stick(&mut self, count: usize) -> Result<()> {
        let from = self.subscribers.len() - count;
        for subscriber in &mut self.subscribers[from..] {
            subscriber.stuck = true;
            subscriber.conn.ignore(self.poll.registry())?;
        }
        Ok(())
    }

    /// Waits at most so long for events and deals with them.
    pub fn turn(&mut self, wait: Duration) -> Result<()> {
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait))
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &self.events {
            let Token(token) = event.token();
            if token >= CALLERS {
                let Some(caller) = self.callers.get_mut(token - CALLERS) else {
                    continue;
                };
                if event.is_writable() {
                    caller.writable();
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
                subscriber.conn.writable();
            }
            if event.is_readable() {
                let now = clock::monotonic();
                let (latencies, delivered) = (&mut self.latencies, &mut self.delivered);
                self.received += subscriber.read(&mut self.buffer, |marker| {
                    *delivered += 1;
                    latencies.record(now.saturating_sub(marker.sent));
                });
            }
        }
        Ok(())
    }

    /// Keeps taking what comes for a while.
    pub fn idle(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.turn(left.min(Duration::from_millis(20)))?;
        }
        Ok(())
    }

    /// Takes what comes until everything published has arrived, or nothing came for `patience`.
    pub fn drain(&mut self, patience: Duration) -> Result<()> {
        let (mut last, mut since) = (self.delivered, Instant::now());
        while self.delivered < self.expected && since.elapsed() < patience {
            self.turn(Duration::from_millis(5))?;
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
    pub fn received(&self) -> u64 {
        self.received
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
    pub fn refusal(&self) -> Option<&str> {
        self.callers.iter().find_map(|one| one.refusal.as_deref())
    }

    /// Requests of publishers and probes that were refused.
    pub fn refused(&self) -> u64 {
        self.callers.iter().map(|caller| caller.refused).sum()
    }

    /// What went wrong with everybody who was not stuck.
    pub fn wrong(&self) -> Wrong {
        let mut wrong = Wrong::default();
        for subscriber in self.subscribers.iter().filter(|one| !one.stuck) {
            for (index, publisher) in self.publishers.iter().enumerate() {
                if publisher.group == subscriber.group {
                    wrong.add(subscriber.wrong(index, publisher.published));
                }
            }
        }
        wrong
    }
}
