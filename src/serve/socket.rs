//! One WebSocket (RFC 6455) on a bare TCP socket: messages in, through the library; frames out, through the outlet.

use crate::{
    model::limits,
    protocol::{close::CloseCode, upload::HEADER_BYTES},
    server::{
        accept::{self, Taken},
        live::{Ended, Outlet},
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
const MESSAGE_BYTES: usize = 2 * limits::CHUNK_BYTES + HEADER_BYTES;
/// What is set aside for reading, for each connection: frames are small, and the buffer grows for those that are not.
const READ_BYTES: usize = 512;

/// The reading end of a connection.
#[derive(Debug)]
pub(super) struct Socket {
    messages: WebSocket<Pipe>,
    tcp: Arc<TcpStream>,
}

impl Socket {
    /// Takes over where the handshake ended. The outlet writes to the same socket.
    pub(super) fn new(taken: Taken, outlet: &Arc<Outlet>) -> Self {
        let tcp = Arc::new(taken.socket);
        outlet.attach(tcp.clone());
        let pipe = Pipe {
            tcp: tcp.clone(),
            outlet: outlet.clone(),
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES));
        let read = taken.read.to_vec();
        let messages = WebSocket::from_partially_read(pipe, read, Role::Server, Some(config));
        Self { messages, tcp }
    }

    /// The next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Ended::Closed`] when a message is larger than the connection takes, and [`Ended::Lost`] when the client closes it, it
    /// breaks, or what comes is no WebSocket.
    pub(super) async fn next(&mut self) -> Result<Message, Ended> {
        use tungstenite::Error;
        loop {
            match self.messages.read() {
                Ok(message) => return Ok(message),
                Err(Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => {
                    // An error shows in the read.
                    let _ = self.tcp.readable().await;
                }
                Err(Error::Capacity(_)) => return Err(Ended::Closed(CloseCode::TooBig)),
                Err(_) => return Err(Ended::Lost),
            }
        }
    }

    /// Reads to the end, whatever comes.
    pub(super) async fn drain(&self) {
        accept::read_to_end(&self.tcp).await;
    }
}

/// What the library reads from and writes to. Nothing in it waits.
#[derive(Debug)]
struct Pipe {
    tcp: Arc<TcpStream>,
    outlet: Arc<Outlet>,
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.tcp.try_read(buf)
    }
}

/// Pongs and the answer to a close: whole frames, in line with what others push.
impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.outlet.mutter(Bytes::copy_from_slice(buf));
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
