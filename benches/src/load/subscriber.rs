//! A subscriber: handshake, state and what it has received.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use anyhow::Result;
use mio::{Registry, Token};

use super::{
    conn::{Conn, ReadOutcome},
    marker::{Marker, Needle, Scanner},
    sequence::{DeliveryErrors, SequenceChecker},
};
use crate::{clock, load::latencies::Latencies};

/// How a subscriber subscribes.
#[derive(Debug, Clone)]
pub struct SubscribeHandshake {
    /// HTTP request.
    pub request: Vec<u8>,
    /// Sent after the response's head; only over a WebSocket.
    pub first_frame: Option<Vec<u8>>,
    /// Bytes that confirm the subscription.
    pub ready_pattern: &'static [u8],
}

/// Of a response that accepts a WebSocket (RFC 6455 section 4.2.2).
const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101";

/// Kept from before the confirmation.
const MAX_FIRST_BYTES: usize = 300;

#[derive(Debug)]
enum SubscriptionState {
    /// Waits for the end of the response's head.
    Upgrading(Needle),
    /// Waits for the confirmation.
    Subscribing(Needle),
    Subscribed,
    Closed,
}

impl SubscriptionState {
    fn initial(handshake: &SubscribeHandshake) -> Self {
        if handshake.first_frame.is_some() {
            Self::Upgrading(Needle::new(b"\r\n\r\n"))
        } else {
            Self::Subscribing(Needle::new(handshake.ready_pattern))
        }
    }
}

/// Acknowledgements of a sender's messages.
#[derive(Debug)]
pub struct AckTracker {
    needle: Needle,
    /// Of unacknowledged messages, oldest first.
    pub pending_due_nanos: VecDeque<u64>,
    /// From a message's due time to its acknowledgement.
    pub latencies: Latencies,
}

impl AckTracker {
    /// Every occurrence of `text` is an acknowledgement.
    pub fn new(text: &'static [u8]) -> Self {
        Self {
            needle: Needle::new(text),
            pending_due_nanos: VecDeque::new(),
            latencies: Latencies::default(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        for _ in 0..self.needle.count(bytes) {
            if let Some(due) = self.pending_due_nanos.pop_front() {
                self.latencies
                    .record(clock::monotonic_nanos().saturating_sub(due));
            }
        }
    }
}

/// A subscriber.
#[derive(Debug)]
pub struct Subscriber {
    /// Connection.
    pub conn: Conn,
    /// Receives the messages of this channel's publishers.
    pub channel: usize,
    /// It has stopped reading on purpose.
    pub is_stuck: bool,
    /// Received before the confirmation: they show why it was rejected.
    pub first_bytes: Vec<u8>,
    /// Set when acknowledgements are counted.
    pub acks: Option<AckTracker>,
    handshake: SubscribeHandshake,
    /// `None`: the kernel chooses.
    source: Option<IpAddr>,
    state: SubscriptionState,
    scanner: Scanner,
    checkers: Vec<SequenceChecker>,
}

impl Subscriber {
    /// Starts to subscribe, from `source` if given.
    pub fn connect(
        address: SocketAddr,
        source: Option<IpAddr>,
        registry: &Registry,
        token: Token,
        handshake: SubscribeHandshake,
        channel: usize,
    ) -> Result<Self> {
        Ok(Self {
            conn: Self::send_request(address, source, registry, token, &handshake)?,
            state: SubscriptionState::initial(&handshake),
            channel,
            is_stuck: false,
            first_bytes: Vec::new(),
            acks: None,
            handshake,
            source,
            scanner: Scanner::default(),
            checkers: Vec::new(),
        })
    }

    fn send_request(
        address: SocketAddr,
        source: Option<IpAddr>,
        registry: &Registry,
        token: Token,
        handshake: &SubscribeHandshake,
    ) -> Result<Conn> {
        let mut conn = Conn::connect(address, source, registry, token)?;
        conn.send(&handshake.request);
        Ok(conn)
    }

    /// Starts again after a rejection.
    pub fn retry(&mut self, address: SocketAddr, registry: &Registry, token: Token) -> Result<()> {
        self.conn = Self::send_request(address, self.source, registry, token, &self.handshake)?;
        self.state = SubscriptionState::initial(&self.handshake);
        self.first_bytes.clear();
        Ok(())
    }

    /// It is subscribed.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, SubscriptionState::Subscribed)
    }

    /// The connection has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, SubscriptionState::Closed)
    }

    /// Calls `found` for the first delivery of each marker. Returns the bytes read.
    pub fn read(&mut self, buffer: &mut [u8], mut found: impl FnMut(Marker)) -> u64 {
        let mut all = 0;
        loop {
            match self.conn.read(buffer) {
                ReadOutcome::Nothing => return all,
                ReadOutcome::End => {
                    self.state = SubscriptionState::Closed;
                    return all;
                }
                ReadOutcome::Bytes(count) => {
                    all += count as u64;
                    self.process_bytes(&buffer[..count], &mut found);
                    if count < buffer.len() {
                        return all;
                    }
                }
            }
        }
    }

    fn process_bytes(&mut self, bytes: &[u8], found: &mut impl FnMut(Marker)) {
        let is_complete = match &mut self.state {
            SubscriptionState::Upgrading(needle) | SubscriptionState::Subscribing(needle) => {
                let room = MAX_FIRST_BYTES - self.first_bytes.len().min(MAX_FIRST_BYTES);
                self.first_bytes
                    .extend_from_slice(&bytes[..bytes.len().min(room)]);
                needle.count(bytes) > 0
            }
            SubscriptionState::Subscribed | SubscriptionState::Closed => false,
        };
        if is_complete {
            self.advance();
        }
        if let Some(acks) = &mut self.acks {
            acks.feed(bytes);
        }
        let all = &mut self.checkers;
        self.scanner.feed(bytes, |marker| {
            let publisher = usize::from(marker.publisher);
            if all.len() <= publisher {
                all.resize_with(publisher + 1, SequenceChecker::default);
            }
            if all[publisher].record(marker.sequence) {
                found(marker);
            }
        });
    }

    /// After what the state waited for.
    fn advance(&mut self) {
        if matches!(self.state, SubscriptionState::Subscribing(_)) {
            self.state = SubscriptionState::Subscribed;
            self.first_bytes = Vec::new();
        } else if self.first_bytes.starts_with(SWITCHING_PROTOCOLS) {
            let frame = self.handshake.first_frame.as_deref();
            self.conn.send(frame.unwrap_or_default());
            let confirmed = Needle::new(self.handshake.ready_pattern);
            self.state = SubscriptionState::Subscribing(confirmed);
        } else {
            self.state = SubscriptionState::Closed;
        }
    }

    /// For a publisher that has sent `count` messages.
    pub fn delivery_errors(&self, publisher: usize, count: u64) -> DeliveryErrors {
        match self.checkers.get(publisher) {
            Some(checker) => checker.delivery_errors(count),
            None => SequenceChecker::default().delivery_errors(count),
        }
    }
}
