//! The floor: `bench-floor ADDRESS`. One thread writes the body of every `POST` to all connections that have
//! sent a `GET`.
//!
//! Without events, frames, rooms or cursors, a delivery costs only what the kernel takes.

use std::{
    collections::BTreeSet,
    env,
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
};

use anyhow::{Context, Result};
use memchr::memmem;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

const LISTENER: Token = Token(usize::MAX);

/// The generator reads no further than the empty line.
const SSE_RESPONSE_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const NO_CONTENT_RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";

struct Conn {
    socket: TcpStream,
    request: Vec<u8>,
    /// Not accepted by the socket yet.
    waiting: Vec<u8>,
}

impl Conn {
    fn write(&mut self, bytes: &[u8]) {
        let mut written = 0;
        if self.waiting.is_empty() {
            while written < bytes.len() {
                match self.socket.write(&bytes[written..]) {
                    Ok(count) => written += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // The next read reports the broken connection.
                    Err(_) => return,
                }
            }
        }
        self.waiting.extend_from_slice(&bytes[written..]);
    }

    fn on_writable(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.write(&waiting);
    }

    /// Whether it is a POST, and its body.
    fn take_request(&mut self) -> Option<(bool, Vec<u8>)> {
        let head = memmem::find(&self.request, b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&self.request[..head]).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(Some(0), |length| length.parse::<usize>().ok())?;
        let body = self.request.get(head..head + length)?.to_vec();
        self.request.drain(..head + length);
        Some((text.starts_with("post"), body))
    }
}

fn main() -> Result<()> {
    let address: SocketAddr = env::args()
        .nth(1)
        .context("usage: bench-floor ADDRESS")?
        .parse()?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(4096);
    let mut conns: Vec<Option<Conn>> = Vec::new();
    let mut subscribers: BTreeSet<usize> = BTreeSet::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, None)?;
        let mut published = Vec::new();
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry()
                        .register(&mut socket, Token(conns.len()), interest)?;
                    conns.push(Some(Conn {
                        socket,
                        request: Vec::new(),
                        waiting: Vec::new(),
                    }));
                }
                continue;
            }
            let Token(index) = event.token();
            let Some(conn) = &mut conns[index] else {
                continue;
            };
            if event.is_writable() {
                conn.on_writable();
            }
            if event.is_readable() {
                match conn.socket.read(&mut buffer) {
                    Ok(count) if count > 0 => conn.request.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Ok(_) | Err(_) => {
                        conns[index] = None;
                        subscribers.remove(&index);
                        continue;
                    }
                }
                while let Some((publishes, body)) = conn.take_request() {
                    if publishes {
                        published.extend_from_slice(&body);
                        conn.write(NO_CONTENT_RESPONSE);
                    } else {
                        conn.write(SSE_RESPONSE_HEAD);
                        subscribers.insert(index);
                    }
                }
            }
        }
        if !published.is_empty() {
            for index in &subscribers {
                if let Some(conn) = &mut conns[*index] {
                    conn.write(&published);
                }
            }
        }
    }
}
