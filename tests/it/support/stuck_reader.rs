//! Sockets that do not read: what a phone in a tunnel looks like to the server.

use super::{Browser, SseItem, WAIT_TIMEOUT, sse::Parser};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// How much the system takes in for a socket that nobody reads, in bytes: as little as it lets us ask for.
const RECV_BUFFER_BYTES: u32 = 4 * 1024;

/// What may wait for a client that does not read, in bytes: in the server, and in what the system keeps for it.
pub(crate) const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// A connection for which the system takes in next to nothing.
pub(crate) async fn connect_with_small_buffer(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECV_BUFFER_BYTES).unwrap();
    socket.connect(address).await.unwrap()
}

/// Somebody who asks for something that is long, and reads it only when told to.
pub(crate) struct StuckReader {
    stream: TcpStream,
}

impl StuckReader {
    /// Asks for the stream of news, of which the system takes in next to nothing.
    pub(crate) async fn open_sse(address: SocketAddr) -> Self {
        Self::send_request(connect_with_small_buffer(address).await, "/news/events", "").await
    }

    /// Asks for something as a browser of theirs.
    pub(crate) async fn get(person: &Browser, path: &str) -> Self {
        let stream = TcpStream::connect(person.address()).await.unwrap();
        let cookie = person.cookie().expect("a session");
        let cookie = format!("Cookie: {}\r\n", cookie.to_str().unwrap());
        Self::send_request(stream, path, &cookie).await
    }

    async fn send_request(mut stream: TcpStream, path: &str, headers: &str) -> Self {
        let host = stream.peer_addr().unwrap();
        // HTTP/1.0 has no chunks, so that what comes after the head is the stream itself.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        // The first byte says that the server has begun.
        stream.peek(&mut [0]).await.unwrap();
        Self { stream }
    }

    /// Reads everything up to the end, and gives what follows the head.
    pub(crate) async fn read_body(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let read = tokio::time::timeout(WAIT_TIMEOUT, self.stream.read_to_end(&mut all)).await;
        assert!(
            matches!(read, Ok(Ok(_))),
            "{read:?} after {} bytes",
            all.len()
        );
        let head = all
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head");
        all.split_off(head + 4)
    }

    /// The same of a stream of events.
    pub(crate) async fn read_events(self) -> Vec<SseItem> {
        Parser::default().push(&self.read_body().await)
    }
}
