//! Sockets that do not read: what a phone in a tunnel looks like to the server.

use super::{PATIENCE, Piece, sse::Parser};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// How much the system takes in for a socket that nobody reads, in bytes: as little as it lets us ask for.
const RECEIVED: u32 = 4 * 1024;

/// What may wait for a client that does not read, in bytes: in the server, and in what the system keeps for it.
pub(crate) const MOST_WAITING: usize = 256 * 1024;

/// A connection for which the system takes in next to nothing.
pub(crate) async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVED).unwrap();
    socket.connect(address).await.unwrap()
}

/// A reader of the news who reads only when told to.
pub(crate) struct Stuck {
    stream: TcpStream,
}

impl Stuck {
    /// Asks for the stream, and reads nothing.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut stream = narrow(address).await;
        // HTTP/1.0 has no chunks, so that what comes after the head is the stream itself.
        let request = format!("GET /news/events HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        // The first byte says that the server has begun.
        stream.peek(&mut [0]).await.unwrap();
        Self { stream }
    }

    /// Reads everything up to the end of the stream.
    pub(crate) async fn read_all(mut self) -> Vec<Piece> {
        let mut all = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut all)).await;
        assert!(
            matches!(read, Ok(Ok(_))),
            "{read:?} after {} bytes",
            all.len()
        );
        let head = all
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head");
        Parser::default().push(&all[head + 4..])
    }
}
