//! The WebSocket of a simulated page, over a pipe.

use super::world::HANDSHAKE;
use crate::{
    protocol::ws::{ClientFrame, ServerFrame},
    server::simulation::pipe::{Pipe, PipeEnd},
};
use std::{
    io::{self, Read, Write},
    sync::Arc,
};
use tungstenite::{
    Message, WebSocket,
    protocol::{CloseFrame, Role},
};

pub(super) struct Connection {
    pub(super) pipe: Arc<Pipe>,
    state: ConnectionState,
}

enum ConnectionState {
    /// Bytes of the handshake so far.
    Opening(Option<PipeEnd>, Vec<u8>),
    Open(Box<WebSocket<Stream>>),
}

pub(super) enum Received {
    Opened,
    Frame(Box<ServerFrame>),
    Closed(u16),
    Ignored,
}

struct Stream(Arc<PipeEnd>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection {
    pub(super) fn new(end: PipeEnd) -> Self {
        Self {
            pipe: end.pipe(),
            state: ConnectionState::Opening(Some(end), Vec::new()),
        }
    }

    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Received {
        loop {
            match &mut self.state {
                ConnectionState::Opening(end, head) => {
                    let Some(end) = end else {
                        return Received::Closed(1006);
                    };
                    end.readable().await;
                    let mut bytes = [0; 256];
                    match end.try_read(&mut bytes) {
                        Ok(0) => return Received::Closed(1006),
                        Ok(count) => head.extend_from_slice(&bytes[..count]),
                        Err(why) if why.kind() == io::ErrorKind::WouldBlock => continue,
                        Err(_) => return Received::Closed(1006),
                    }
                    if head.len() >= HANDSHAKE.len() {
                        return Received::Opened;
                    }
                }
                ConnectionState::Open(socket) => match socket.read() {
                    Ok(Message::Text(text)) => {
                        let frame = serde_json::from_str(&text);
                        let frame = frame.expect("the server sends known frames");
                        return Received::Frame(Box::new(frame));
                    }
                    Ok(Message::Close(frame)) => {
                        let code = frame.map_or(1005, |CloseFrame { code, .. }| code.into());
                        let _ = socket.flush();
                        return Received::Closed(code);
                    }
                    Ok(_) => return Received::Ignored,
                    Err(tungstenite::Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => {
                        let pipe = socket.get_ref().0.clone();
                        pipe.readable().await;
                    }
                    Err(_) => return Received::Closed(1006),
                },
            }
        }
    }

    pub(super) fn open(&mut self) {
        if let ConnectionState::Opening(end, head) = &mut self.state
            && let Some(end) = end.take()
        {
            let rest = head[HANDSHAKE.len()..].to_vec();
            let stream = Stream(Arc::new(end));
            let socket = WebSocket::from_partially_read(stream, rest, Role::Client, None);
            self.state = ConnectionState::Open(Box::new(socket));
        }
    }

    pub(super) fn send(&mut self, frame: &ClientFrame) {
        if let ConnectionState::Open(socket) = &mut self.state {
            let text = serde_json::to_string(frame).unwrap();
            // What does not fit is sent by a later call; a broken connection shows in the read.
            let _ = socket.send(Message::text(text));
        }
    }
}

/// Cancel safe.
pub(super) async fn next_of(connection: Option<&mut Connection>) -> Received {
    match connection {
        Some(connection) => connection.next().await,
        None => std::future::pending().await,
    }
}
