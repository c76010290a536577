//! Clients that do not read: to the server, a phone in a tunnel.

use super::{Browser, SseItem, WAIT_TIMEOUT, sse::Parser};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// Close to the minimum that the kernel permits.
const RECV_BUFFER_BYTES: u32 = 4 * 1024;

/// Bytes that queue up for a client that does not read: in the server and in the kernel.
pub(crate) const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// Opens a connection with a minimal receive buffer.
pub(crate) async fn connect_with_small_buffer(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECV_BUFFER_BYTES).unwrap();
    socket.connect(address).await.unwrap()
}

/// Requests a long response and reads it only on demand.
pub(crate) struct StuckReader {
    stream: TcpStream,
}

impl StuckReader {
    /// Requests the news stream over a connection with a minimal receive buffer.
    pub(crate) async fn open_sse(address: SocketAddr) -> Self {
        Self::send_request(connect_with_small_buffer(address).await, "/news/events", "").await
    }

    /// Requests a path with the cookies of a browser.
    pub(crate) async fn get(browser: &Browser, path: &str) -> Self {
        let stream = TcpStream::connect(browser.address()).await.unwrap();
        let cookie = browser.cookie().expect("a session");
        let cookie = format!("Cookie: {}\r\n", cookie.to_str().unwrap());
        Self::send_request(stream, path, &cookie).await
    }

    async fn send_request(mut stream: TcpStream, path: &str, headers: &str) -> Self {
        let host = stream.peer_addr().unwrap();
        // HTTP/1.0 has no chunked encoding: the body follows the head unchanged.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        // The first byte shows that the response has started.
        stream.peek(&mut [0]).await.unwrap();
        Self { stream }
    }

    /// Reads the response to its end and returns the body.
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
            .expect("a complete response head");
        all.split_off(head + 4)
    }

    /// Reads the response to its end and parses it as an event stream.
    pub(crate) async fn read_events(self) -> Vec<SseItem> {
        Parser::default().push(&self.read_body().await)
    }
}
