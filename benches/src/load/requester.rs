//! An HTTP client with one request at a time: a publisher or a probe.

use std::{collections::VecDeque, fmt, net::SocketAddr};

use anyhow::Result;
use mio::{Registry, Token};

use super::{
    conn::{Conn, ReadOutcome},
    http::ResponseReader,
    latencies::Latencies,
};
use crate::clock;

/// Builds the next request of a probe.
pub type NextRequest = Box<dyn FnMut() -> Vec<u8>>;

/// Sends HTTP requests, one at a time.
pub struct Requester {
    address: SocketAddr,
    registry: Registry,
    token: Token,
    /// `None` after the server closed the connection, as Pushpin does after every response.
    conn: Option<Conn>,
    reader: ResponseReader,
    /// The due time of the request in flight.
    due_nanos: Option<u64>,
    /// With their due times.
    queue: VecDeque<(u64, Vec<u8>)>,
    next: Option<NextRequest>,
    /// From the time a request was due, queued or not, to its complete response.
    pub latencies: Latencies,
    /// Responses without a 2xx status, and connections that failed or ended.
    pub refused_count: u64,
    /// Status line and body, or why there was no response.
    pub first_refusal: Option<String>,
}

impl fmt::Debug for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requester").finish_non_exhaustive()
    }
}

impl Requester {
    /// With `next`, sends one request after another.
    pub fn connect(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        next: Option<NextRequest>,
    ) -> Result<Self> {
        let mut requester = Self {
            address,
            registry: registry.try_clone()?,
            token,
            conn: None,
            reader: ResponseReader::default(),
            due_nanos: None,
            queue: VecDeque::new(),
            next,
            latencies: Latencies::default(),
            refused_count: 0,
            first_refusal: None,
        };
        requester.send_next();
        Ok(requester)
    }

    /// No request is in flight or queued.
    pub fn is_idle(&self) -> bool {
        self.due_nanos.is_none() && self.queue.is_empty()
    }

    /// Requests queued behind the one in flight.
    pub fn backlog(&self) -> usize {
        self.queue.len()
    }

    /// Sends a request now, or after those before it.
    pub fn enqueue(&mut self, request: Vec<u8>) {
        self.queue.push_back((clock::monotonic_nanos(), request));
        self.send_next();
    }

    fn send_next(&mut self) {
        if self.due_nanos.is_some() {
            return;
        }
        let (due, request) = match (self.queue.pop_front(), &mut self.next) {
            (Some(queued), _) => queued,
            (None, Some(next)) => (clock::monotonic_nanos(), next()),
            (None, None) => return,
        };
        self.due_nanos = Some(due);
        if self.conn.is_none() {
            self.conn = Conn::connect(self.address, None, &self.registry, self.token).ok();
        }
        if let Some(conn) = &mut self.conn {
            conn.send(&request);
        } else {
            self.refuse("cannot connect");
            self.due_nanos = None;
        }
    }

    fn refuse(&mut self, why: &str) {
        self.refused_count += 1;
        self.first_refusal.get_or_insert_with(|| why.to_owned());
    }

    /// Handles writability.
    pub fn on_writable(&mut self) {
        if let Some(conn) = &mut self.conn {
            conn.on_writable();
        }
    }

    /// After a complete response, sends the next request.
    pub fn read(&mut self, buffer: &mut [u8]) {
        while let Some(conn) = &mut self.conn {
            match conn.read(buffer) {
                ReadOutcome::Nothing => return,
                ReadOutcome::End => {
                    self.conn = None;
                    self.reader = ResponseReader::default();
                    if self.due_nanos.take().is_some() {
                        self.refuse("the connection ended");
                    }
                    self.send_next();
                    return;
                }
                ReadOutcome::Bytes(count) => {
                    if let Some(response) = self.reader.feed(&buffer[..count]) {
                        if let Some(due) = self.due_nanos.take() {
                            self.latencies
                                .record(clock::monotonic_nanos().saturating_sub(due));
                        }
                        if !(200..300).contains(&response.status) {
                            let (head, body) =
                                response.text.split_once("\r\n\r\n").unwrap_or_default();
                            self.refuse(&format!(
                                "{} {body}",
                                head.lines().next().unwrap_or_default()
                            ));
                        }
                        if response.header("connection") == Some("close") {
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
