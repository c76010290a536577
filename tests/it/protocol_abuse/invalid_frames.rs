//! Malformed frames, and frames not allowed at this point.

use super::{AbuseFixture, wait_for_upload_ready};
use crate::support::{HelloFrame, WsClient, message_id, ws_client};
use rialto::{
    model::limits,
    protocol::ws::{ClientFrame, ErrorCode},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::{
    Frame,
    coding::{Data, OpCode},
};

#[tokio::test]
async fn what_is_no_frame_is_refused_in_words() {
    let mut fixture = AbuseFixture::new().await;
    let mut mallory = fixture.mallory.connect().await;
    let room = fixture.general();
    let nested = "[".repeat(20_000);
    let cases = [
        "",
        "hello?",
        "{",
        "null",
        "[]",
        "\"ping\"",
        "{}",
        nested.as_str(),
        r#"{"type":"dance"}"#,
        r#"{"type":7}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"ping","n":"three"}"#,
        r#"{"type":"ping","n":-1}"#,
        r#"{"type":"ping","n":3.5}"#,
        r#"{"type":"ping","n":3} {"type":"ping","n":4}"#,
        r#"{"type":"visibility","visible":"yes"}"#,
        r#"{"type":"send"}"#,
        r#"{"type":"typing","room":"general"}"#,
        r#"{"type":"read","room":"0198c5f0-0000-7000-8000-000000000000","seq":"1"}"#,
        r#"{"type":"resume","room":"0198c5f0-0000-7000-8000-000000000000"}"#,
        r#"{"type":"upload","room":"0198c5f0-0000-7000-8000-000000000000","name":"a","size":-1}"#,
        r#"{"type":"call","call":"0198c5f0-0000-7000-8000-000000000000"}"#,
        r#"{"type":"call","call":"0198c5f0-0000-7000-8000-000000000000","action":"explode"}"#,
        r#"{"type":"call","call":"0198c5f0-0000-7000-8000-000000000000","action":"signal","signal":{"kind":"smoke"}}"#,
    ]
    .map(str::to_owned);
    for text in cases {
        mallory.send_text(&text).await;
        let (code, reason) = mallory.wait_for_error().await;
        assert_eq!(code, ErrorCode::Malformed, "{text}");
        assert!(reason.starts_with("invalid frame: "), "{text}: {reason}");
        fixture.assert_others_unaffected().await;
    }

    for (text, why) in [
        ("  \n ".to_owned(), "Write something"),
        (
            "a".repeat(limits::MAX_MESSAGE_CHARS + 1),
            "at most 4000 characters",
        ),
    ] {
        let id = message_id();
        let frame = json!({ "type": "send", "id": id, "room": room, "text": text });
        mallory.send_text(&frame.to_string()).await;
        let (code, reason) = mallory.wait_for_refusal(id).await;
        assert_eq!(code, ErrorCode::Invalid);
        assert!(reason.contains(why), "{reason}");
        fixture.assert_others_unaffected().await;
    }
    mallory
        .send_message(room, "and Mallory may still speak")
        .await;
}

#[tokio::test]
async fn a_frame_that_only_the_server_may_send_is_refused() {
    let mut fixture = AbuseFixture::new().await;
    let mut mallory = fixture.mallory.connect().await;
    let room = fixture.general();
    let person = serde_json::to_value(fixture.ada.me()).unwrap();
    let message = json!({
        "id": message_id(), "room": room, "seq": 1, "author": person, "at": 0,
        "content": { "kind": "text", "text": "forged" },
    });
    let frames: [Value; 6] = [
        json!({ "type": "pong", "n": 1 }),
        json!({ "type": "event", "room": room, "seq": 1, "event": "message", "message": message }),
        json!({ "type": "sent", "id": message_id(), "room": room, "seq": 1, "at": 0 }),
        json!({ "type": "presence", "person": person, "presence": "gone" }),
        json!({ "type": "upload_ready", "id": message_id(), "offset": 0 }),
        json!({ "type": "error", "code": "malformed", "reason": "boo" }),
    ];
    for frame in frames {
        mallory.send_text(&frame.to_string()).await;
        assert_eq!(
            mallory.wait_for_error().await.0,
            ErrorCode::ServerOnly,
            "{frame}"
        );
        fixture.assert_others_unaffected().await;
    }
    let received = fixture.grace.frames_until_pong().await;
    assert!(
        received
            .iter()
            .filter_map(ws_client::as_message)
            .all(|message| ws_client::text_of(message) != "forged"),
        "{received:#?}"
    );
}

#[tokio::test]
async fn a_text_that_is_too_large_is_refused_and_one_beyond_all_bounds_ends_the_connection() {
    let mut fixture = AbuseFixture::new().await;
    let mut mallory = fixture.mallory.connect().await;
    for bytes in [
        limits::MAX_TEXT_FRAME_BYTES + 1,
        2 * limits::MAX_CHUNK_BYTES,
    ] {
        mallory.send_text(&"a".repeat(bytes)).await;
        assert_eq!(
            mallory.wait_for_error().await.0,
            ErrorCode::TooLarge,
            "{bytes}"
        );
        fixture.assert_others_unaffected().await;
    }
    let beyond = "a".repeat(4 * limits::MAX_CHUNK_BYTES);
    mallory.send_text(&beyond).await;
    assert_eq!(
        mallory.expect_close().await,
        (1009, "that message is too big".to_owned())
    );
    fixture.assert_others_unaffected().await;

    let mut mallory = fixture.mallory.connect().await;
    mallory.send_binary(beyond.into_bytes()).await;
    assert_eq!(mallory.expect_close().await.0, 1009);
    fixture.assert_others_unaffected().await;

    let mut mallory = fixture.mallory.connect().await;
    let room = mallory.general();
    mallory.send_message(room, "and may connect again").await;
}

#[tokio::test]
async fn bytes_that_are_no_chunk_are_refused() {
    let mut fixture = AbuseFixture::new().await;
    let mut mallory = fixture.mallory.connect().await;
    let id = message_id();
    let chunk = |first: u8, data: usize| {
        let mut frame = vec![first];
        frame.extend(id.0.as_bytes());
        frame.extend(0_u64.to_be_bytes());
        frame.extend(vec![0; data]);
        frame
    };
    for (frame, code) in [
        (Vec::new(), ErrorCode::Malformed),
        (vec![1; 5], ErrorCode::Malformed),
        (chunk(1, 0), ErrorCode::Malformed),
        (chunk(2, 10), ErrorCode::Malformed),
        (chunk(1, limits::MAX_CHUNK_BYTES + 1), ErrorCode::TooLarge),
    ] {
        mallory.send_binary(frame).await;
        assert_eq!(mallory.wait_for_error().await.0, code);
        fixture.assert_others_unaffected().await;
    }

    mallory.send_binary(chunk(1, 10)).await;
    let (code, reason) = mallory.wait_for_refusal(id).await;
    assert_eq!(code, ErrorCode::Invalid);
    assert!(reason.contains("not announced"), "{reason}");
    fixture.assert_others_unaffected().await;

    // A wrong offset: the server replies with the expected one and writes nothing.
    let room = mallory.general();
    let (name, size) = ("a.txt".to_owned(), 20);
    mallory
        .send(&ClientFrame::Upload {
            id,
            room,
            name,
            size,
        })
        .await;
    assert_eq!(wait_for_upload_ready(&mut mallory, id).await, 0);
    mallory.send_chunk(id, 7, b"out of step").await;
    assert_eq!(wait_for_upload_ready(&mut mallory, id).await, 0);
    // More data than announced aborts the upload.
    mallory.send_chunk(id, 0, &[0; 21]).await;
    let (code, reason) = mallory.wait_for_refusal(id).await;
    assert_eq!(code, ErrorCode::Invalid);
    assert!(reason.contains("larger than announced"), "{reason}");
    assert_eq!(
        fixture.server.stored_files(),
        Vec::<std::path::PathBuf>::new()
    );
    fixture.assert_others_unaffected().await;
}

#[tokio::test]
async fn hello_is_sent_once_and_first() {
    let mut fixture = AbuseFixture::new().await;
    let mut mallory = fixture.mallory.connect().await;
    mallory.send_hello(HelloFrame::default()).await;
    assert_eq!(mallory.wait_for_error().await.0, ErrorCode::DuplicateHello);
    fixture.assert_others_unaffected().await;

    let no_hello = (4002, "the first frame must be hello".to_owned());
    for first in [
        r#"{"type":"ping","n":1}"#,
        r#"{"type":"hello"}"#,
        r#"{"type":"hello","client":"me"}"#,
        "hello",
    ] {
        let mut mallory = WsClient::open_socket(&fixture.mallory).await;
        mallory.send_text(first).await;
        assert_eq!(mallory.expect_close().await, no_hello, "{first}");
        fixture.assert_others_unaffected().await;
    }
    let mut mallory = WsClient::open_socket(&fixture.mallory).await;
    mallory.send_binary(vec![1; 100]).await;
    assert_eq!(mallory.expect_close().await, no_hello);
    fixture.assert_others_unaffected().await;
}

#[tokio::test]
async fn a_frame_that_breaks_the_standard_ends_its_own_connection_only() {
    let mut fixture = AbuseFixture::new().await;
    let mut mallory = fixture.mallory.connect().await;
    // RFC 6455 section 8.1: not UTF-8.
    let text = OpCode::Data(Data::Text);
    let broken = Frame::message(vec![0xFF, 0xFE], text, true);
    mallory.send_raw_frame(broken).await;
    while mallory.next_frame().await.is_ok() {}
    fixture.assert_others_unaffected().await;
}
