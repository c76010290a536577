use super::*;
use axum::{Extension, routing};
use tokio::io::AsyncReadExt;

/// `/live` leaves HTTP, sends "live" and echoes one line.
async fn server() -> (SocketAddr, Shutdown) {
    server_with("", "").await
}

async fn server_with(limits: &str, trusted_proxies: &str) -> (SocketAddr, Shutdown) {
    let router = Router::new()
        .route("/", routing::get(|| async { "plain" }))
        .route(
            "/live",
            routing::get(|Extension(connection): Extension<Takeover>| async move {
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
    let limits = ConnectionLimits {
        limits: RateLimits::new(limits.parse().unwrap(), Arc::default()),
        trusted_proxies: trusted_proxies.parse().unwrap(),
    };
    tokio::spawn(serve(listener, router, limits, stopping.clone()));
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

async fn get(socket: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: rialto\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1_024];
    let read = socket.read(&mut answer);
    let length = timeout(Duration::from_secs(5), read).await;
    answer.truncate(length.expect("an answer").unwrap());
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_connection_over_the_limit_gets_503_and_costs_nobody_else() {
    for limits in ["all-connections=2", "connections=2"] {
        let (address, _) = server_with(limits, "").await;
        let connect = || async { TcpStream::connect(address).await.unwrap() };
        let (mut plain, mut live) = (connect().await, connect().await);
        assert!(get(&mut plain, "/").await.ends_with("plain"), "{limits}");
        assert_eq!(get(&mut live, "/live").await, "live\n", "{limits}");
        let refused = get(&mut connect().await, "/").await;
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(refused.contains("\r\nretry-after: 5\r\n"), "{refused}");
        assert!(
            refused.ends_with("Try again in a few seconds.\n"),
            "{refused}"
        );
        assert!(get(&mut plain, "/").await.ends_with("plain"), "{limits}");
        // A connection that left HTTP keeps its place until it ends.
        drop(plain);
        let free = async {
            while !get(&mut connect().await, "/").await.ends_with("plain") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(5), free).await.unwrap();
        live.write_all(b"bye\n").await.unwrap();
        assert_eq!(read_to_end(live).await, "bye\n");
    }
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_do_not_share_the_limit_of_its_address() {
    let (address, _) = server_with("connections=1", "127.0.0.1").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        assert!(get(&mut socket, "/").await.ends_with("plain"));
        held.push(socket);
    }
}
