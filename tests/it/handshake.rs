//! The opening handshake: who may connect.

use crate::support::{
    Browser, HelloFrame, NodeLog, Server, WsClient,
    browser::location,
    client_id,
    server::ADMIN_PASSWORD,
    ws_client::{handshake_error_status, handshake_request, upgrade},
};
use rialto::protocol::SUBPROTOCOL;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_connection_is_taken_from_our_own_pages_only() {
    let log = NodeLog::new();
    let server = Server::start_with(log.capture()).await;
    let ada = Browser::join(&server, "Ada").await;
    assert_eq!(handshake_error_status(handshake_request(&ada)).await, None);
    let mut no_browser = handshake_request(&ada);
    no_browser.headers_mut().remove("origin");
    assert_eq!(
        handshake_error_status(no_browser).await,
        None,
        "clients other than browsers send no Origin"
    );
    let port = server.address().port();
    for origin in [
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        format!("http://127.0.0.1:{}", port.wrapping_add(1)),
        format!("http://127.0.0.1:{port}.evil.example"),
        "null".to_owned(),
    ] {
        let mut request = handshake_request(&ada);
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let (socket, _) = upgrade(request, stream).await.unwrap();
        let (code, reason) = WsClient::from_socket(socket).expect_close().await;
        assert_eq!(code, 4004, "{origin}: a page learns only the close code");
        assert!(reason.contains("--public-url"), "{reason}");
    }
    let warning = "a request from another site was refused. If it is yours, set --public-url";
    assert_eq!(log.count(warning), 1, "logged once");
}

#[tokio::test]
async fn behind_a_proxy_that_changes_host_the_public_url_counts() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_PUBLIC_URL", "http://rialto.example.org");
    })
    .await;
    let ada = Browser::join(&server, "Ada").await;
    let mut request = handshake_request(&ada);
    let headers = request.headers_mut();
    headers.insert("origin", "http://rialto.example.org".parse().unwrap());
    headers.insert("host", "rialto1:3000".parse().unwrap());
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (socket, _) = upgrade(request, stream).await.unwrap();
    let mut ws = WsClient::from_socket(socket);
    ws.exchange_hello(HelloFrame::default()).await;
    let form = [("name", "Ada Byron")];
    let posted = ada.http.post(ada.url("/fn/rename")).form(&form);
    let posted = posted
        .header("host", "rialto1:3000")
        .header("origin", "http://rialto.example.org");
    assert_eq!(posted.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_name_that_somebody_points_here_gets_no_answer() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let get = async |host: &str| {
        let request = ada.http.get(ada.url("/chat")).header("host", host);
        request.send().await.unwrap()
    };
    for host in [
        "evil.example",
        "evil.example:3000",
        "127.0.0.1.evil.example",
    ] {
        let refused = get(host).await;
        assert_eq!(refused.status(), 421, "{host}");
        assert!(refused.text().await.unwrap().contains("--public-url"));
        let mut request = handshake_request(&ada);
        request.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(handshake_error_status(request).await, Some(421), "{host}");
    }
    for host in ["localhost:3000", "192.168.1.7", "nas.local", "nas"] {
        assert_eq!(get(host).await.status(), 200, "{host}");
    }
}

#[tokio::test]
async fn a_connection_needs_a_session_and_the_subprotocol() {
    let server = Server::start().await;
    let stranger = Browser::anonymous(&server, "Stranger");
    assert_eq!(
        handshake_error_status(handshake_request(&stranger)).await,
        Some(401)
    );
    let mut request = handshake_request(&stranger);
    request
        .headers_mut()
        .insert("cookie", "rialto_session=0123456789abcdef".parse().unwrap());
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (socket, _) = upgrade(request, stream).await.unwrap();
    let (code, _) = WsClient::from_socket(socket).expect_close().await;
    assert_eq!(
        code, 4001,
        "an ended session: a browser tells its page the close code, but no HTTP status"
    );

    let ada = Browser::join(&server, "Ada").await;
    let mut request = handshake_request(&ada);
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "rialto.v0".parse().unwrap());
    assert_eq!(handshake_error_status(request).await, Some(422));

    let mut request = handshake_request(&ada);
    request.headers_mut().insert(
        "sec-websocket-protocol",
        format!("rialto.v0, {SUBPROTOCOL}").parse().unwrap(),
    );
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (_, response) = upgrade(request, stream).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], SUBPROTOCOL);
}

#[tokio::test]
async fn signing_out_closes_every_connection_of_the_session_and_no_other() {
    let server = Server::start().await;
    let (ada, grace) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Grace").await,
    );
    let (mut first_ws, mut second_ws, mut grace_ws) = (
        ada.connect().await,
        ada.connect().await,
        grace.connect().await,
    );
    let response = ada.post("/fn/sign-out", &[]).await;
    assert!(response.status().is_redirection());
    let ended = (4001, "the session has ended".to_owned());
    assert_eq!(first_ws.expect_close().await, ended);
    assert_eq!(second_ws.expect_close().await, ended);
    let general = grace_ws.general();
    grace_ws.send_message(general, "still here").await;
    assert_eq!(
        handshake_error_status(handshake_request(&ada)).await,
        Some(401)
    );
}

#[tokio::test]
async fn signing_out_between_the_handshake_and_the_hello_leaves_no_connection_open() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = WsClient::open_socket(&ada).await;
    assert!(
        ada.post("/fn/sign-out", &[])
            .await
            .status()
            .is_redirection()
    );
    ws.send_hello(HelloFrame::default()).await;
    let ended = (4001, "the session has ended".to_owned());
    assert_eq!(ws.expect_close().await, ended);
}

#[tokio::test]
async fn a_client_that_reconnects_replaces_its_former_connection() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let hello = HelloFrame {
        client: client_id(),
        ..HelloFrame::default()
    };
    let mut old_ws = ada.connect_with(hello.clone()).await;
    let mut new_ws = ada.connect_with(hello).await;
    assert_eq!(
        old_ws.expect_close().await,
        (4000, "this page connected again".to_owned())
    );
    let general = new_ws.general();
    new_ws.send_message(general, "still here").await;
}

#[tokio::test]
async fn nobody_can_take_the_connection_of_somebody_elses_client() {
    let server = Server::start().await;
    let (ada, mallory) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Mallory").await,
    );
    let client = client_id();
    let mut ws = ada
        .connect_with(HelloFrame {
            client,
            ..HelloFrame::default()
        })
        .await;
    let mut mallory_ws = WsClient::open_socket(&mallory).await;
    mallory_ws
        .send_hello(HelloFrame {
            client,
            ..HelloFrame::default()
        })
        .await;
    assert_eq!(mallory_ws.expect_close().await.0, 4002);
    let general = ws.general();
    ws.send_message(general, "still here").await;
}

#[tokio::test]
async fn a_new_password_closes_the_connections_of_every_other_session() {
    let server = Server::start().await;
    let admin = server.create_administrator().await;
    let elsewhere = Browser::anonymous(&server, "Dogaressa");
    let form = [
        ("name", "Dogaressa"),
        ("password", ADMIN_PASSWORD),
        ("next", "/"),
    ];
    elsewhere.post("/fn/sign-in", &form).await;
    let (mut own_ws, mut other_ws) = (admin.connect().await, elsewhere.connect().await);
    let form = [
        ("current", ADMIN_PASSWORD),
        ("password", "four thousand ducats"),
    ];
    let changed = admin.post("/fn/set-password", &form).await;
    assert_eq!(location(&changed), "/settings?done=password");
    let ended = (4001, "the session has ended".to_owned());
    assert_eq!(other_ws.expect_close().await, ended);
    let general = own_ws.general();
    own_ws.send_message(general, "still here").await;
    assert_eq!(
        WsClient::open_socket(&elsewhere).await.expect_close().await,
        ended
    );
}
