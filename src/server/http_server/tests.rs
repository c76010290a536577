use super::*;
use axum::{Extension, routing::get};
use tokio::io::AsyncReadExt;

/// `/live` leaves HTTP, sends "live" and echoes one line.
async fn server() -> (SocketAddr, Shutdown) {
    let router = Router::new().route("/", get(|| async { "plain" })).route(
        "/live",
        get(|Extension(connection): Extension<Takeover>| async move {
            connection.take(|taken| async move {
                let mut told = taken.read_buf.to_vec();
                let Socket::Tcp(mut socket) = taken.socket else {
                    panic!("a pipe");
                };
                socket.write_all(b"live\n").await.unwrap();
                while !told.ends_with(b"\n") {
                    assert!(socket.read_buf(&mut told).await.unwrap() > 0);
                }
                socket.write_all(&told).await.unwrap();
            })
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stopping = Shutdown::default();
    tokio::spawn(serve(listener, router, stopping.clone()));
    (address, stopping)
}

async fn read_to_end(mut socket: TcpStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(5), socket.read_to_string(&mut text))
        .await
        .expect("the connection ends")
        .unwrap();
    text
}

#[tokio::test]
async fn a_connection_that_is_taken_gets_nothing_from_http() {
    let (address, _) = server().await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket
        .write_all(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut received = [0; 5];
    socket.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"live\n");
    socket.write_all(b"more\n").await.unwrap();
    assert_eq!(read_to_end(socket).await, "more\n");
}

#[tokio::test]
async fn it_can_be_taken_after_other_requests_and_what_was_sent_ahead_is_not_lost() {
    let (address, _) = server().await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let all = format!("{}{}ahead\n", request("/"), request("/live"));
    socket.write_all(all.as_bytes()).await.unwrap();
    let text = read_to_end(socket).await;
    let (http, live) = text.split_once("\r\n\r\nplain").unwrap();
    assert!(http.starts_with("HTTP/1.1 200 OK"), "{http}");
    assert_eq!(live, "live\nahead\n");
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_counts_those_that_go_on() {
    let (address, stopping) = server().await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut live = TcpStream::connect(address).await.unwrap();
    live.write_all(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut received = [0; 5];
    live.read_exact(&mut received).await.unwrap();
    stopping.token.cancel();
    assert!(read_to_end(idle).await.ends_with("plain"));
    let all = stopping.connections.wait();
    tokio::pin!(all);
    let early = tokio::time::timeout(Duration::from_millis(50), &mut all).await;
    assert!(early.is_err(), "the live connection is counted");
    live.write_all(b"bye\n").await.unwrap();
    assert_eq!(read_to_end(live).await, "bye\n");
    tokio::time::timeout(Duration::from_secs(5), all)
        .await
        .expect("all are gone");
    assert!(TcpStream::connect(address).await.is_err());
}
