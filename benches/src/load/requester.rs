//! One who makes HTTP requests, one after the other on one connection: a publisher, or a probe of a page.

use std::{collections::VecDeque, fmt, net::SocketAddr};

use anyhow::Result;
use mio::{Registry, Token};

use super::{
    conn::{Conn, ReadOutcome},
    http::ResponseReader,
    latencies::Latencies,
};
use crate::clock;

/// Makes the next request by itself.
pub type NextRequest = Box<dyn FnMut() -> Vec<u8>>;

/// One who makes HTTP requests.
pub struct Requester {
    address: SocketAddr,
    registry: Registry,
    token: Token,
    /// None when the peer closed it after an answer, as Pushpin does after each.
    conn: Option<Conn>,
    reader: ResponseReader,
    sent_at: Option<u64>,
    queue: VecDeque<Vec<u8>>,
    next: Option<NextRequest>,
    /// From the request to the whole answer.
    pub latencies: Latencies,
    /// Answers whose status was not 2xx, and connections that ended.
    pub refused_count: u64,
    /// The first of those: its status line, or that the connection ended.
    pub first_refusal: Option<String>,
}

impl fmt::Debug for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

impl Requester {
    /// Connects. With `next` it asks again and again; without, it asks what it is given.
    pub fn connect(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        next: Option<NextRequest>,
    ) -> Result<Self> {
        let mut caller = Self {
            address,
            registry: registry.try_clone()?,
            token,
            conn: None,
            reader: ResponseReader::default(),
            sent_at: None,
            queue: VecDeque::new(),
            next,
            latencies: Latencies::default(),
            refused_count: 0,
            first_refusal: None,
        };
        caller.send_next();
        Ok(caller)
    }

    /// Whether nothing is on its way or waiting.
    pub fn is_idle(&self) -> bool {
        self.sent_at.is_none() && self.queue.is_empty()
    }

    /// How many requests wait for the one that is on its way.
    pub fn backlog(&self) -> usize {
        self.queue.len()
    }

    /// Asks now, or when the request that is on its way is answered.
    pub fn enqueue(&mut self, request: Vec<u8>) {
        self.queue.push_back(request);
        self.send_next();
    }

    fn send_next(&mut self) {
        if self.sent_at.is_some() {
            return;
        }
        let request = match (self.queue.pop_front(), &mut self.next) {
            (Some(request), _) => request,
            (None, Some(next)) => next(),
            (None, None) => return,
        };
        self.sent_at = Some(clock::monotonic_nanos());
        if self.conn.is_none() {
            self.conn = Conn::connect(self.address, &self.registry, self.token).ok();
        }
        if let Some(conn) = &mut self.conn {
            conn.send(&request);
        } else {
            self.refuse("cannot connect");
            self.sent_at = None;
        }
    }

    fn refuse(&mut self, why: &str) {
        self.refused_count += 1;
        self.first_refusal.get_or_insert_with(|| why.to_owned());
    }

    /// The socket can be written to.
    pub fn on_writable(&mut self) {
        if let Some(conn) = &mut self.conn {
            conn.on_writable();
        }
    }

    /// Reads what is there, and asks the next thing when an answer is whole.
    pub fn read(&mut self, buffer: &mut [u8]) {
        while let Some(conn) = &mut self.conn {
            match conn.read(buffer) {
                ReadOutcome::Nothing => return,
                ReadOutcome::End => {
                    self.conn = None;
                    self.reader = ResponseReader::default();
                    if self.sent_at.take().is_some() {
                        self.refuse("the connection ended");
                    }
                    self.send_next();
                    return;
                }
                ReadOutcome::Bytes(count) => {
                    if let Some(answer) = self.reader.feed(&buffer[..count]) {
                        if let Some(asked) = self.sent_at.take() {
                            self.latencies
                                .record(clock::monotonic_nanos().saturating_sub(asked));
                        }
                        if !(200..300).contains(&answer.status) {
                            let (head, body) =
                                answer.text.split_once("\r\n\r\n").unwrap_or_default();
                            self.refuse(&format!(
                                "{} {body}",
                                head.lines().next().unwrap_or_default()
                            ));
                        }
                        if answer.header("connection") == Some("close") {
                            self.conn = None;
                        }
                        self.send_next();
                    }
                    if count < buffer.len() {
                        return;
                    }
                }
            }
        }
    }
}
