//! Clients that do not read.

use super::{Browser, SseItem, WAIT_TIMEOUT, sse::Parser};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// Close to the kernel's minimum.
const RECV_BUFFER_BYTES: u32 = 4 * 1024;

/// For a client that does not read: in the server and in the kernel.
pub(crate) const MAX_QUEUED_BYTES: usize = 256 * 1024;

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
    /// The news stream, with a minimal receive buffer.
    pub(crate) async fn open_sse(address: SocketAddr) -> Self {
        Self::send_request(connect_with_small_buffer(address).await, "/news/events", "").await
    }

    /// With a browser's cookies.
    pub(crate) async fn get(browser: &Browser, path: &str) -> Self {
        let stream = TcpStream::connect(browser.address()).await.unwrap();
        let cookie = browser.cookie().expect("a session");
        let cookie = format!("Cookie: {}\r\n", cookie.to_str().unwrap());
        Self::send_request(stream, path, &cookie).await
    }

    async fn send_request(mut stream: TcpStream, path: &str, headers: &str) -> Self {
        let host = stream.peer_addr().unwrap();
        // HTTP/1.0 has no chunked encoding.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        // The first byte shows that the response has started.
        stream.peek(&mut [0]).await.unwrap();
        Self { stream }
    }

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

    pub(crate) async fn read_events(self) -> Vec<SseItem> {
        Parser::default().push(&self.read_body().await)
    }
}
