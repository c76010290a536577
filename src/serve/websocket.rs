//! A WebSocket (RFC 6455) on a socket: tungstenite reads, and the send queue writes.

use crate::{
    model::limits,
    protocol::{close::CloseCode, upload::HEADER_BYTES},
    server::{
        http_server::TakenSocket,
        live::{ConnectionEnd, SendQueue},
        socket::Socket,
    },
};
use bytes::Bytes;
use std::{
    io::{self, Read, Write},
    sync::Arc,
};
use tungstenite::{
    Message, WebSocket,
    protocol::{Role, WebSocketConfig},
};

/// An upload chunk with its header, and room to refuse a larger text frame.
pub(super) const MAX_MESSAGE_BYTES: usize = 2 * limits::MAX_CHUNK_BYTES + HEADER_BYTES;
const READ_BUFFER_BYTES: usize = 512;
/// Other tasks run in between: some thousand empty frames, or half of an upload chunk.
const MAX_BYTES_BETWEEN_YIELDS: usize = 32 * 1024;

/// The largest message, and what may be on its way behind it.
const MAX_DRAINED_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct WebSocketReader {
    websocket: WebSocket<NonBlockingStream>,
    socket: Arc<Socket>,
}

impl WebSocketReader {
    pub(super) fn new(taken: TakenSocket, send_queue: &Arc<SendQueue>) -> Self {
        let socket = Arc::new(taken.socket);
        send_queue.attach(socket.clone());
        let pipe = NonBlockingStream {
            socket: socket.clone(),
            send_queue: send_queue.clone(),
            bytes_until_yield: MAX_BYTES_BETWEEN_YIELDS,
        };
        let read = taken.read_buf.to_vec();
        let messages = WebSocket::from_partially_read(pipe, read, Role::Server, Some(config()));
        Self {
            websocket: messages,
            socket,
        }
    }

    /// Next message. Cancel safe. Yields to other tasks however fast the client sends.
    ///
    /// The error is [`ConnectionEnd::Closed`] when the message is too large, [`ConnectionEnd::Disconnected`] after a
    /// disconnect or a protocol violation.
    pub(super) async fn next(&mut self) -> Result<Message, ConnectionEnd> {
        use tungstenite::Error;
        loop {
            match self.websocket.read() {
                Ok(message) => return Ok(message),
                Err(Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => {
                    let stream = self.websocket.get_mut();
                    if stream.bytes_until_yield == 0 {
                        stream.bytes_until_yield = MAX_BYTES_BETWEEN_YIELDS;
                        tokio::task::yield_now().await;
                    } else {
                        self.socket.readable().await;
                    }
                }
                Err(Error::Capacity(_)) => return Err(ConnectionEnd::Closed(CloseCode::TooBig)),
                Err(_) => return Err(ConnectionEnd::Disconnected),
            }
        }
    }

    /// Discards what a client has sent before it read the close frame. Who sends more is cut off.
    pub(super) async fn drain(&self) {
        self.socket.drain(MAX_DRAINED_BYTES).await;
    }
}

pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

#[derive(Debug)]
struct NonBlockingStream {
    socket: Arc<Socket>,
    send_queue: Arc<SendQueue>,
    /// At 0, a read would block: the parser reads on by itself within a message.
    bytes_until_yield: usize,
}

impl Read for NonBlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.bytes_until_yield == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let end = buf.len().min(self.bytes_until_yield);
        let length = self.socket.try_read(&mut buf[..end])?;
        self.bytes_until_yield -= length;
        Ok(length)
    }
}

/// Queues whole control frames (pongs, close replies).
impl Write for NonBlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.send_queue.push_control(Bytes::copy_from_slice(buf));
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
