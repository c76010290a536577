//! Frames of a WebSocket.

use super::start_with;
use crate::{
    metrics::{read_sample, wait_for_sample},
    support::{
        Browser, HelloFrame, WAIT_TIMEOUT, WsClient, client_id,
        latencies::measure_latencies,
        message_id,
        stuck_reader::connect_with_small_buffer,
        with_timeout,
        ws_client::{handshake_request, upgrade},
    },
};
use rialto::{
    model::{Cursor, Epoch, RoomId, user::Presence},
    protocol::{
        upload::Chunk,
        ws::{ClientFrame, RoomCursor, ServerFrame},
    },
};
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Sends a frame many times, or until the connection is closed.
async fn flood(client: &mut WsClient, frame: &ClientFrame) {
    for _ in 0..5_000 {
        if !client.try_send(frame).await {
            return;
        }
    }
}

#[tokio::test]
async fn who_sends_frames_without_a_pause_is_closed_with_4003() {
    let server = start_with("").await;
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    let room = ada.general();
    for (name, frame) in [
        ("Pinging", ClientFrame::Ping { n: 1 }),
        ("Typing", ClientFrame::Typing { room }),
        ("Blinking", ClientFrame::Visibility { visible: true }),
        ("Reading", ClientFrame::Read { room, seq: 0 }),
    ] {
        let mallory = Browser::join(&server, name).await;
        let mut client = mallory.connect().await;
        flood(&mut client, &frame).await;
        let (code, reason) = client.expect_close().await;
        assert_eq!(code, 4003, "{reason}");
        // The other connections of this person are counted with it.
        let mut second = mallory.connect().await;
        flood(&mut second, &frame).await;
        assert_eq!(second.expect_close().await.0, 4003, "{name}");
        ada.send_message(room, "still here").await;
    }
    assert!(read_sample(&server, "rialto_limited_total{limit=\"frames\"}").await >= 4);
}

#[tokio::test]
async fn who_floods_without_a_session_is_cut_off_and_delays_nobody() {
    let server = start_with("").await;
    let (mut ada, mut bob) = (
        Browser::join(&server, "Ada").await.connect().await,
        Browser::join(&server, "Bob").await.connect().await,
    );
    let quiet = measure_latencies(&mut ada, &mut bob, 20, |n| format!("quiet {n}")).await;
    let stranger = Browser::anonymous(&server, "Mallory");
    let flooders = (0..5).map(|_| {
        let mut request = handshake_request(&stranger);
        let made_up = "rialto_session=0123456789abcdef".parse().unwrap();
        request.headers_mut().insert("cookie", made_up);
        let address = server.address();
        tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (socket, _) = upgrade(request, stream).await.unwrap();
            let mut client = WsClient::from_socket(socket);
            let began = Instant::now();
            while client.try_send(&ClientFrame::Ping { n: 1 }).await {}
            began.elapsed()
        })
    });
    let flooders: Vec<_> = flooders.collect();
    let beside = measure_latencies(&mut ada, &mut bob, 20, |n| format!("beside {n}")).await;
    for flooder in flooders {
        let lasted = flooder.await.unwrap();
        assert!(lasted < Duration::from_secs(2), "{lasted:?}");
    }
    assert!(beside.is_within_budget(&quiet, "beside five that flood without a session"));
}

#[tokio::test]
async fn a_reader_of_the_news_that_sends_without_end_is_cut_off() {
    let server = start_with("").await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "GET /news/events HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let sent = with_timeout("the end of the connection", async {
        let mut sent = 0;
        while stream.write_all(&[b'x'; 1_024]).await.is_ok() {
            sent += 1_024;
        }
        sent
    })
    .await;
    // Beside what waits in the buffers of both sides.
    assert!(sent < 16 * 1_024 * 1_024, "{sent} bytes");
}

#[tokio::test]
async fn chunks_wait_for_their_turn() {
    let server = start_with("chunks=10/20ms").await;
    let mut client = Browser::join(&server, "Mallory").await.connect().await;
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    let room = ada.general();
    let (id, offset, data) = (message_id(), 0, b"x".as_slice());
    let chunk = Chunk { id, offset, data }.encode();
    let began = Instant::now();
    for _ in 0..60 {
        client.send_binary(chunk.clone()).await;
    }
    ada.send_message(room, "still here").await;
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    client.frames_until_pong().await;
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn typing_is_passed_on_at_most_so_often() {
    let server = start_with("").await;
    let (mut mallory, mut ada) = (
        Browser::join(&server, "Mallory").await.connect().await,
        Browser::join(&server, "Ada").await.connect().await,
    );
    let room = mallory.general();
    for _ in 0..200 {
        mallory.send(&ClientFrame::Typing { room }).await;
    }
    mallory.send_message(room, "done").await;
    let mut typing = 0;
    ada.wait_for(|frame| {
        typing += u32::from(matches!(frame, ServerFrame::Typing { .. }));
        matches!(frame, ServerFrame::Event { .. }).then_some(())
    })
    .await;
    assert!((1..=5).contains(&typing), "{typing}");
}

#[tokio::test]
async fn presence_is_told_at_most_so_often_and_ends_as_it_is() {
    let server = start_with("presence=3/200ms").await;
    let (mut mallory, mut ada) = (
        Browser::join(&server, "Mallory").await.connect().await,
        Browser::join(&server, "Ada").await.connect().await,
    );
    let who = mallory.me().clone();
    let began = Instant::now();
    for visible in [false, true].repeat(100) {
        mallory.send(&ClientFrame::Visibility { visible }).await;
    }
    mallory
        .send(&ClientFrame::Visibility { visible: false })
        .await;
    mallory.frames_until_pong().await;
    let mut told = 0;
    let mut last = Presence::Online;
    // Nothing follows once it is told that the page is hidden.
    while let Ok(presence) =
        tokio::time::timeout(Duration::from_secs(1), ada.next_presence_of(&who)).await
    {
        (told, last) = (told + 1, presence);
    }
    let most = 4 + began.elapsed().as_millis() / 200;
    assert!((1..=most).contains(&told), "{told} of at most {most}");
    assert_eq!(last, Presence::Away);
}

#[tokio::test]
async fn a_hello_with_many_cursors_waits_and_delays_nobody() {
    let server = start_with("resumes=10/20ms").await;
    let mallory = Browser::join(&server, "Mallory").await;
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    let room = ada.general();
    ada.send_message(room, "first").await;
    let cursor = Cursor {
        epoch: Epoch("unknown".to_owned()),
        seq: 0,
    };
    let cursors = vec![RoomCursor { room, cursor }; 100];
    let mut client = WsClient::open_socket(&mallory).await;
    let began = Instant::now();
    client
        .send_hello(HelloFrame {
            client: client_id(),
            cursors,
            ..HelloFrame::default()
        })
        .await;
    let answered = async {
        let mut resumed = 0;
        while resumed < 100 {
            let frame = client.next_frame().await.expect("it is not closed");
            resumed += u32::from(matches!(frame, ServerFrame::Resumed { .. }));
        }
    };
    let meanwhile = async {
        for _ in 0..5 {
            ada.send_message(room, "still here").await;
        }
        began.elapsed()
    };
    let both = async { tokio::join!(answered, meanwhile) };
    let ((), meanwhile) = with_timeout("all cursors", both).await;
    assert!(
        began.elapsed() >= Duration::from_millis(90 * 20),
        "{:?}",
        began.elapsed()
    );
    assert!(meanwhile < Duration::from_secs(1), "{meanwhile:?}");
}

#[tokio::test]
async fn one_person_opens_so_many_pages_and_is_told() {
    let server = start_with("websockets=3").await;
    let mallory = Browser::join(&server, "Mallory").await;
    let mut pages = Vec::new();
    for _ in 0..3 {
        pages.push(mallory.connect().await);
    }
    let mut fourth = WsClient::open_socket(&mallory).await;
    let (code, reason) = fourth.expect_close().await;
    assert_eq!(code, 1013);
    assert!(reason.contains("close other pages"), "{reason}");
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    let room: RoomId = ada.general();
    ada.send_message(room, "still here").await;
    for page in pages {
        page.close().await;
    }
    let free = async {
        loop {
            let mut page = WsClient::open_socket(&mallory).await;
            page.send_hello(HelloFrame::default()).await;
            if page.next_frame().await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(WAIT_TIMEOUT, free)
        .await
        .expect("the places are free again");
}

/// Of 450 rooms, in a send queue.
const MIN_WELCOME_BYTES: u64 = 100_000;

#[tokio::test]
async fn clients_that_do_not_read_their_welcome_hold_back_nobody_elses() {
    let server = start_with("rooms=1000,changes=1000,person-pages=1000,websockets=100").await;
    let admin = server.create_administrator().await;
    for n in 0..450 {
        let name = format!("{n} {}", "\u{1F9D1}".repeat(50));
        admin.post("/fn/create-room", &[("name", &name)]).await;
    }
    let mallory = Browser::join(&server, "Mallory").await;
    let mut stuck = Vec::new();
    for _ in 0..40 {
        let stream = connect_with_small_buffer(server.address()).await;
        let mut client = WsClient::open_socket_over(&mallory, stream).await.unwrap();
        client.send_hello(HelloFrame::default()).await;
        stuck.push(client);
    }
    // All of them are being welcomed, and none is through.
    let is_stuck = |bytes| bytes >= 40 * MIN_WELCOME_BYTES;
    wait_for_sample(&server, "rialto_queue_bytes", is_stuck).await;
    let began = Instant::now();
    let grace = Browser::join(&server, "Grace").await.connect().await;
    assert_eq!(grace.welcome().rooms.len(), 451);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}
