//! One who listens: from connecting to being subscribed, and what came since.

use std::{collections::VecDeque, net::SocketAddr};

use anyhow::Result;
use mio::{Registry, Token};

use super::{
    conn::{Conn, Got},
    marker::{Marker, Needle, Scanner},
    sequence::{Checker, Wrong},
};
use crate::{clock, load::histogram::Latencies};

/// How a peer is subscribed to.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The HTTP request.
    pub request: Vec<u8>,
    /// What is said once the answer's head is there; only over a WebSocket.
    pub greeting: Option<Vec<u8>>,
    /// What the peer says when the subscriber is subscribed.
    pub ready: &'static [u8],
}

/// How much is kept of what is said before one is subscribed, in bytes.
const SAID: usize = 300;

#[derive(Debug)]
enum Stage {
    /// Waits for the end of the answer's head, to say the greeting.
    Upgrading(Needle),
    /// Waits for the peer to say that it is subscribed.
    Opening(Needle),
    Ready,
    Ended,
}

impl Stage {
    fn first(opening: &Opening) -> Self {
        if opening.greeting.is_some() {
            Self::Upgrading(Needle::new(b"\r\n\r\n"))
        } else {
            Self::Opening(Needle::new(opening.ready))
        }
    }
}

/// Acknowledgements of what this one sent.
#[derive(Debug)]
pub struct Acks {
    needle: Needle,
    /// When each message that is not acknowledged yet was due, oldest first, in `CLOCK_MONOTONIC` nanoseconds.
    pub waiting: VecDeque<u64>,
    /// From being due to being acknowledged.
    pub latencies: Latencies,
}

impl Acks {
    /// Takes every appearance of `text` for an acknowledgement.
    pub fn new(text: &'static [u8]) -> Self {
        Self {
            needle: Needle::new(text),
            waiting: VecDeque::new(),
            latencies: Latencies::default(),
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        for _ in 0..self.needle.count(bytes) {
            if let Some(due) = self.waiting.pop_front() {
                self.latencies
                    .record(clock::monotonic().saturating_sub(due));
            }
        }
    }
}

/// One who listens.
#[derive(Debug)]
pub struct Subscriber {
    /// The connection.
    pub conn: Conn,
    /// Which publishers it hears: those of the same group.
    pub group: usize,
    /// Whether it has stopped reading on purpose.
    pub stuck: bool,
    /// The first bytes that came, until it is subscribed: why it was turned away.
    pub said: Vec<u8>,
    /// Set when acknowledgements are counted.
    pub acks: Option<Acks>,
    opening: Opening,
    stage: Stage,
    scanner: Scanner,
    checkers: Vec<Checker>,
}

impl Subscriber {
    /// Begins to subscribe.
    pub fn connect(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        opening: Opening,
        group: usize,
    ) -> Result<Self> {
        Ok(Self {
            conn: Self::ask(address, registry, token, &opening)?,
            stage: Stage::first(&opening),
            group,
            stuck: false,
            said: Vec::new(),
            acks: None,
            opening,
            scanner: Scanner::default(),
            checkers: Vec::new(),
        })
    }

    fn ask(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        opening: &Opening,
    ) -> Result<Conn> {
        let mut conn = Conn::connect(address, registry, token)?;
        conn.send(&opening.request);
        Ok(conn)
    }

    /// Begins anew, after the peer turned it away.
    pub fn retry(&mut self, address: SocketAddr, registry: &Registry, token: Token) -> Result<()> {
        self.conn = Self::ask(address, registry, token, &self.opening)?;
        self.stage = Stage::first(&self.opening);
        Ok(())
    }

    /// Whether it is subscribed.
    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// Whether the server ended it.
    pub fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Reads what is there and calls `found` for each marker that came for the first time. How many bytes there were.
    pub fn read(&mut self, buffer: &mut [u8], mut found: impl FnMut(Marker)) -> u64 {
        let mut all = 0;
        loop {
            match self.conn.read(buffer) {
                Got::Nothing => return all,
                Got::End => {
                    self.stage = Stage::Ended;
                    return all;
                }
                Got::Bytes(count) => {
                    all += count as u64;
                    self.take(&buffer[..count], &mut found);
                    if count < buffer.len() {
                        return all;
                    }
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8], found: &mut impl FnMut(Marker)) {
        match &mut self.stage {
            Stage::Upgrading(needle) => {
                if needle.count(bytes) > 0 {
                    self.conn
                        .send(self.opening.greeting.as_deref().unwrap_or_default());
                    self.stage = Stage::Opening(Needle::new(self.opening.ready));
                }
            }
            Stage::Opening(needle) => {
                if needle.count(bytes) > 0 {
                    self.stage = Stage::Ready;
                    self.said = Vec::new();
                } else {
                    let room = SAID - self.said.len().min(SAID);
                    self.said.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
            }
            Stage::Ready | Stage::Ended => {}
        }
        if let Some(acks) = &mut self.acks {
            acks.feed(bytes);
        }
        let all = &mut self.checkers;
        self.scanner.feed(bytes, |marker| {
            let publisher = usize::from(marker.publisher);
            if all.len() <= publisher {
                all.resize_with(publisher + 1, Checker::default);
            }
            if all[publisher].see(marker.sequence) {
                found(marker);
            }
        });
    }

    /// What went wrong with the messages of a publisher, of which so many were published.
    pub fn wrong(&self, publisher: usize, count: u64) -> Wrong {
        match self.checkers.get(publisher) {
            Some(checker) => checker.wrong(count),
            None => Checker::default().wrong(count),
        }
    }
}
