//! Rate limits, error limits and timeouts.

use super::AbuseFixture;
use crate::support::{
    Browser, HelloFrame, Server, WsClient, client_id, message_id, with_timeout, ws_client,
};
use rialto::{
    model::{MessageId, RoomId, user::Presence},
    protocol::{
        close::CLOSE_TIMEOUT,
        ws::{ClientFrame, ErrorCode, ServerFrame},
    },
};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::handshake::client::Request;

#[tokio::test]
async fn a_client_without_a_hello_in_time_may_connect_again() {
    let mut fixture = AbuseFixture::new().await;
    let mut ws = WsClient::open_socket(&fixture.mallory).await;
    let closed = tokio::time::timeout(Duration::from_secs(20), ws.next_frame()).await;
    let why = closed
        .expect("within 20 s")
        .expect_err("no frame before hello");
    assert_eq!(why.map(|why| u16::from(why.code)), Some(4009));
    fixture.assert_others_unaffected().await;
}

#[tokio::test]
async fn who_sends_nothing_but_errors_is_closed_with_4003() {
    let mut fixture = AbuseFixture::new().await;
    let mut mallory = fixture.mallory.connect().await;
    for n in 0..1_000 {
        let sent = mallory
            .try_send(&ClientFrame::Typing {
                room: RoomId(message_id().0),
            })
            .await;
        if !sent {
            assert!(n > 100, "after {n}");
            break;
        }
    }
    assert_eq!(
        mallory.expect_close().await,
        (4003, "too many frames, or too many refused ones".to_owned())
    );
    fixture.assert_others_unaffected().await;
    let mut mallory = fixture.mallory.connect().await;
    let room = mallory.general();
    mallory.send_message(room, "sorry").await;
}

#[tokio::test]
async fn who_sends_faster_than_anybody_writes_is_told_to_slow_down() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_LIMITS", "messages=5");
    })
    .await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    let ids: Vec<MessageId> = (0..200).map(|_| message_id()).collect();
    for id in &ids {
        ws.send(&ws_client::message_frame(*id, room, "buy now"))
            .await;
    }
    let mut too_fast = 0;
    for wanted in ids {
        let refused = ws
            .wait_for(|frame| match frame {
                ServerFrame::Sent { id, .. } if *id == wanted => Some(None),
                ServerFrame::Refused(refusal) if refusal.id == Some(wanted) => {
                    Some(Some(refusal.code))
                }
                _ => None,
            })
            .await;
        assert!(matches!(refused, None | Some(ErrorCode::RateLimited)));
        too_fast += u32::from(refused.is_some());
    }
    assert!(too_fast > 0);
}

#[tokio::test]
async fn a_client_that_falls_silent_is_closed_with_4009() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_HEARTBEAT_SECONDS", "1");
    })
    .await;
    let (ada, grace) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Grace").await,
    );
    let mut silent = ada
        .connect_with(HelloFrame {
            client: client_id(),
            ..HelloFrame::default()
        })
        .await;
    let mut alive = grace.connect().await;
    assert_eq!(alive.welcome().heartbeat, 1_000);
    let who = silent.me().clone();
    let closing = silent.expect_close();
    // Grace pings twice per heartbeat interval.
    let pinging = async {
        let mut every = tokio::time::interval(Duration::from_millis(500));
        loop {
            every.tick().await;
            alive.send(&ClientFrame::Ping { n: 1 }).await;
        }
    };
    let closed = tokio::select! {
        closed = closing => closed,
        () = pinging => unreachable!("the ping loop never ends"),
    };
    assert_eq!(closed, (4009, "heartbeat timeout".to_owned()));
    assert_eq!(alive.next_presence_of(&who).await, Presence::Offline);
}

#[tokio::test]
async fn who_does_not_answer_a_close_frame_is_disconnected_when_the_wait_is_over() {
    /// Masked with zeros: code 4001.
    const ANSWER: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x0F, 0xA1];
    let server = Server::start().await;
    for answers in [true, false] {
        let ada = Browser::join(&server, &format!("Ada {answers}")).await;
        let mut stream = ada.connect().await.into_stream();
        ada.post("/fn/sign-out", &[]).await;
        let mut received = Vec::new();
        let is_close_frame = |bytes: &[u8]| bytes[0] == 0x88 && bytes[2..] == [0x0F, 0xA1];
        while !received.windows(4).any(is_close_frame) {
            let read = with_timeout("a close frame", stream.read_buf(&mut received)).await;
            assert!(read.unwrap() > 0, "disconnected without a close frame");
        }
        let closed_at = Instant::now();
        if answers {
            stream.write_all(&ANSWER).await.unwrap();
        }
        let ended = with_timeout("the end", stream.read_to_end(&mut received)).await;
        ended.unwrap();
        let waited = closed_at.elapsed();
        let tolerance = Duration::from_millis(200);
        assert_eq!(answers, waited + tolerance < CLOSE_TIMEOUT, "{waited:?}");
        assert!(
            waited < CLOSE_TIMEOUT + Duration::from_secs(2),
            "{waited:?}"
        );
    }
}

/// An empty frame, masked with zeros.
const fn empty_frame(head: u8) -> [u8; 6] {
    [head, 0x80, 0, 0, 0, 0]
}

/// Sends empty frames without a pause and reads nothing; connects again when disconnected.
async fn flood(request: Request, first: u8, next: u8) {
    let frames = empty_frame(next).repeat(4_000);
    loop {
        let address = request.uri().authority().unwrap().as_str();
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = ws_client::upgrade(request.clone(), stream).await.unwrap();
        let mut stream = socket.into_inner();
        let mut sent = stream.write_all(&empty_frame(first)).await;
        while sent.is_ok() {
            sent = stream.write_all(&frames).await;
        }
    }
}

#[tokio::test]
async fn frames_without_a_pause_delay_nobody() {
    const PONG: u8 = 0x8A;
    const FIRST_FRAGMENT: u8 = 0x01;
    const FRAGMENT: u8 = 0x00;
    let server = Server::start().await;
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    let room = ada.general();
    let signed_in = ws_client::handshake_request(&Browser::join(&server, "Mallory").await);
    let mut made_up = signed_in.clone();
    made_up
        .headers_mut()
        .insert("cookie", "rialto_session=made-up".parse().unwrap());
    // Enough to occupy each worker thread.
    let connections = 2 * std::thread::available_parallelism().unwrap().get();
    for (what, request, first, next) in [
        ("pongs, without a session", made_up, PONG, PONG),
        ("an endless message", signed_in, FIRST_FRAGMENT, FRAGMENT),
    ] {
        let mut floods = JoinSet::new();
        for _ in 0..connections {
            floods.spawn(flood(request.clone(), first, next));
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let began = Instant::now();
            ada.send_message(room, "still here").await;
            slowest = slowest.max(began.elapsed());
        }
        assert!(floods.try_join_next().is_none(), "a flood has failed");
        assert!(slowest < Duration::from_secs(3), "{what}: {slowest:?}");
    }
}
