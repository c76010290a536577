//! One WebSocket (RFC 6455) on a bare TCP socket: messages in, through the library; frames out, through the outlet.

use crate::{
    model::limits,
    protocol::{close::CloseCode, upload::HEADER_BYTES},
    server::{
        http_server::{self, TakenSocket},
        live::{ConnectionEnd, SendQueue},
    },
};
use bytes::Bytes;
use std::{
    io::{self, Read, Write},
    sync::Arc,
};
use tokio::net::TcpStream;
use tungstenite::{
    Message, WebSocket,
    protocol::{Role, WebSocketConfig},
};

/// The most one message may have: a chunk of an upload with its header, with room to tell a larger text frame off in words.
const MAX_MESSAGE_BYTES: usize = 2 * limits::MAX_CHUNK_BYTES + HEADER_BYTES;
/// What is set aside for reading, for each connection: frames are small, and the buffer grows for those that are not.
const READ_BUFFER_BYTES: usize = 512;

/// The reading end of a connection.
#[derive(Debug)]
pub(super) struct WebSocketReader {
    websocket: WebSocket<NonBlockingStream>,
    tcp: Arc<TcpStream>,
}

impl WebSocketReader {
    /// Takes over where the handshake ended. The outlet writes to the same socket.
    pub(super) fn new(taken: TakenSocket, outlet: &Arc<SendQueue>) -> Self {
        let tcp = Arc::new(taken.socket);
        outlet.attach(tcp.clone());
        let pipe = NonBlockingStream {
            tcp: tcp.clone(),
            send_queue: outlet.clone(),
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let read = taken.read_buf.to_vec();
        let messages = WebSocket::from_partially_read(pipe, read, Role::Server, Some(config));
        Self {
            websocket: messages,
            tcp,
        }
    }

    /// The next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Ended::Closed`] when a message is larger than the connection takes, and [`Ended::Lost`] when the client closes it, it
    /// breaks, or what comes is no WebSocket.
    pub(super) async fn next(&mut self) -> Result<Message, ConnectionEnd> {
        use tungstenite::Error;
        loop {
            match self.websocket.read() {
                Ok(message) => return Ok(message),
                Err(Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => {
                    // An error shows in the read.
                    let _ = self.tcp.readable().await;
                }
                Err(Error::Capacity(_)) => return Err(ConnectionEnd::Closed(CloseCode::TooBig)),
                Err(_) => return Err(ConnectionEnd::Disconnected),
            }
        }
    }

    /// Reads to the end, whatever comes.
    pub(super) async fn drain(&self) {
        http_server::drain_until_closed(&self.tcp).await;
    }
}

/// What the library reads from and writes to. Nothing in it waits.
#[derive(Debug)]
struct NonBlockingStream {
    tcp: Arc<TcpStream>,
    send_queue: Arc<SendQueue>,
}

impl Read for NonBlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.tcp.try_read(buf)
    }
}

/// Pongs and the answer to a close: whole frames, in line with what others push.
impl Write for NonBlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.send_queue.push_control(Bytes::copy_from_slice(buf));
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
