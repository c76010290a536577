//! Refusals name what they refuse, say when to retry, and keep the order of what follows.

use crate::support::{Browser, Server, WsClient, call_id, message_id, ws_client};
use rialto::{
    model::{MessageId, RoomId, limits},
    protocol::{
        upload::Chunk,
        ws::{ClientFrame, ErrorCode, FrameReference, Refusal, ServerFrame},
    },
};
use serde_json::{Value, json};
use std::time::Duration;

/// The next `refused` or `error`, and whether it is `refused`.
async fn next_refusal(ws: &mut WsClient) -> (bool, Refusal) {
    ws.wait_for(|frame| match frame {
        ServerFrame::Refused(refusal) => Some((true, refusal.clone())),
        ServerFrame::Error(refusal) => Some((false, refusal.clone())),
        _ => None,
    })
    .await
}

/// As JSON, without the reason.
async fn refusal_of(ws: &mut WsClient, frame: &str) -> Value {
    ws.send_text(frame).await;
    let (is_refused, refusal) = next_refusal(ws).await;
    assert!(!refusal.reason.is_empty());
    let frame = if is_refused {
        ServerFrame::Refused(refusal)
    } else {
        ServerFrame::Error(refusal)
    };
    let mut json = serde_json::to_value(frame).unwrap();
    json.as_object_mut().unwrap().remove("reason");
    json
}

#[tokio::test]
async fn every_refusal_names_the_frame_that_it_refuses() {
    let server = Server::start().await;
    let mut ws = Browser::join(&server, "Ada").await.connect().await;
    let (id, room, nowhere, call) = (message_id(), ws.general(), message_id(), call_id());
    let to = message_id();
    let long = "a".repeat(limits::MAX_MESSAGE_CHARS + 1);
    let large = "a".repeat(limits::MAX_TEXT_FRAME_BYTES);
    let refused = |code: &str, room: Value| json!({ "type": "refused", "id": id, "code": code, "room": room, "ref": 7 });
    let error =
        |code: &str, room: Value| json!({ "type": "error", "code": code, "room": room, "ref": 7 });
    let send = |room: Value, text: &str| json!({ "type": "send", "ref": 7, "id": id, "room": room, "text": text });
    let upload = |room: Value, size: Value| json!({ "type": "upload", "ref": 7, "id": id, "room": room, "name": "a", "size": size });
    let cases = [
        (send(json!(room), &long), refused("invalid", json!(room))),
        (send(json!(room), " "), refused("invalid", json!(room))),
        (send(json!(room), &large), refused("too_large", json!(room))),
        (
            send(json!("general"), "hello"),
            json!({ "type": "refused", "id": id, "code": "malformed", "ref": 7 }),
        ),
        (
            json!({ "type": "send", "ref": 7, "id": id, "room": room }),
            refused("malformed", json!(room)),
        ),
        (
            send(json!(nowhere), "hello"),
            refused("no_such_room", json!(nowhere)),
        ),
        (
            upload(json!(room), json!(-1)),
            refused("malformed", json!(room)),
        ),
        (
            upload(json!(room), json!(0)),
            refused("invalid", json!(room)),
        ),
        (
            upload(json!(nowhere), json!(1)),
            refused("no_such_room", json!(nowhere)),
        ),
        (
            json!({ "type": "typing", "ref": 7, "room": nowhere }),
            error("no_such_room", json!(nowhere)),
        ),
        (
            json!({ "type": "read", "ref": 7, "room": nowhere, "seq": 1 }),
            error("no_such_room", json!(nowhere)),
        ),
        (
            json!({ "type": "read", "ref": 7, "room": room, "seq": "1" }),
            error("malformed", json!(room)),
        ),
        (
            json!({ "type": "resume", "ref": 7, "room": nowhere, "epoch": "00", "seq": 1 }),
            error("no_such_room", json!(nowhere)),
        ),
        (
            json!({ "type": "dance", "ref": "a" }),
            json!({ "type": "error", "code": "malformed", "ref": "a" }),
        ),
        (
            json!({ "type": "dance", "ref": [1] }),
            json!({ "type": "error", "code": "malformed" }),
        ),
        (
            json!({ "type": "call", "ref": 7, "call": call, "action": "hang_up" }),
            json!({ "type": "error", "code": "no_such_call", "call": call, "ref": 7 }),
        ),
        (
            json!({ "type": "call", "ref": 7, "call": call, "action": "start", "to": to, "media": "voice" }),
            json!({ "type": "error", "code": "no_such_user", "call": call, "ref": 7 }),
        ),
        (
            json!({ "type": "call", "ref": 7, "call": call, "action": "join", "room": nowhere }),
            json!({ "type": "error", "code": "no_such_room", "call": call, "room": nowhere, "ref": 7 }),
        ),
        (
            json!({ "type": "call", "ref": 7, "call": call, "action": "explode" }),
            json!({ "type": "error", "code": "malformed", "call": call, "ref": 7 }),
        ),
    ];
    for (frame, expected) in cases {
        assert_eq!(refusal_of(&mut ws, &frame.to_string()).await, expected);
    }
    let cut_off = format!(r#"{{"type":"send","id":"{id}","ref":7,"room":"{room}","text":"cut o"#);
    assert_eq!(
        refusal_of(&mut ws, &cut_off).await,
        refused("malformed", json!(room))
    );
}

#[tokio::test]
async fn a_refused_cursor_of_hello_names_its_room() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let nowhere = RoomId(message_id().0);
    let hello = json!({
        "type": "hello", "client": message_id(), "ref": 7,
        "cursors": [{ "room": nowhere, "epoch": "00", "seq": 0 }],
    });
    let mut ws = WsClient::open_socket(&ada).await;
    let expected = json!({ "type": "error", "code": "no_such_room", "room": nowhere, "ref": 7 });
    assert_eq!(refusal_of(&mut ws, &hello.to_string()).await, expected);
}

#[tokio::test]
async fn a_refused_chunk_names_its_upload_and_the_room_of_that() {
    let server = Server::start().await;
    let mut ws = Browser::join(&server, "Ada").await.connect().await;
    let (id, room) = (message_id(), ws.general());
    let large = vec![0; limits::MAX_CHUNK_BYTES + 1];
    let chunk = |data| Chunk {
        id,
        offset: 0,
        data,
    };
    ws.send_binary(chunk(&large).encode()).await;
    let (is_refused, refusal) = next_refusal(&mut ws).await;
    assert_eq!(
        (is_refused, refusal.code, refusal.id),
        (false, ErrorCode::TooLarge, Some(id))
    );
    ws.send(&ClientFrame::Upload {
        id,
        room,
        name: "a.txt".to_owned(),
        size: 2,
    })
    .await;
    ws.send_binary(chunk(b"abc").encode()).await;
    let (is_refused, refusal) = next_refusal(&mut ws).await;
    assert_eq!(
        (is_refused, refusal.code, refusal.id, refusal.room),
        (true, ErrorCode::Invalid, Some(id), Some(room))
    );
}

#[tokio::test]
async fn a_refused_message_holds_back_what_follows_it_in_its_room_on_its_connection() {
    let server = Server::start_with(|command| {
        command.args(["--limits", "messages=2"]);
    })
    .await;
    let ada = Browser::join(&server, "Ada").await;
    let mut grace = Browser::join(&server, "Grace").await.connect().await;
    let (mut ws, mut other) = (ada.connect().await, ada.connect().await);
    let room = ws.general();
    let ids: Vec<MessageId> = (0..5).map(|_| message_id()).collect();
    use_up_send_rate(&mut ws).await;
    for (n, id) in ids.iter().enumerate() {
        ws.send(&ws_client::message_frame(*id, room, &n.to_string()))
            .await;
    }
    let mut sent = 0;
    let mut refusals = Vec::new();
    while sent + refusals.len() < ids.len() {
        match next_answer(&mut ws, &ids).await {
            Ok(id) => {
                assert!(refusals.is_empty(), "nothing passes what was refused");
                assert_eq!(id, ids[sent]);
                sent += 1;
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    assert!(!refusals.is_empty());
    for (refusal, id) in refusals.iter().zip(&ids[sent..]) {
        let wait = refusal.retry_after_ms.expect("says when to retry");
        assert!((1..=1_000).contains(&wait), "{refusal:?}");
        let about = (refusal.id, refusal.room, refusal.code);
        assert_eq!(about, (Some(*id), Some(room), ErrorCode::RateLimited));
    }

    // The limit allows one by now.
    tokio::time::sleep(Duration::from_millis(200)).await;
    other.send_message(room, "from another page").await;
    let late = message_id();
    ws.send(&ws_client::message_frame(late, room, "late")).await;
    let held = ws.wait_for_refusal(late).await;
    assert_eq!(held.0, ErrorCode::RateLimited, "{held:?}");

    for (n, id) in ids.iter().enumerate().skip(sent) {
        send_until_accepted(&mut ws, *id, room, &n.to_string()).await;
    }
    send_until_accepted(&mut ws, late, room, "late").await;
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != "late") {
        texts.push(ws_client::text_of(&grace.next_message(room).await).to_owned());
    }
    texts.retain(|text| text != "from another page");
    assert_eq!(texts, ["0", "1", "2", "3", "4", "late"]);
}

/// Of a user who can send two messages at once. What is sent next is refused.
async fn use_up_send_rate(ws: &mut WsClient) {
    for _ in 0..30 {
        let nowhere = RoomId(message_id().0);
        ws.send(&ws_client::message_frame(
            message_id(),
            nowhere,
            "anybody here?",
        ))
        .await;
    }
}

/// To one of these messages.
async fn next_answer(ws: &mut WsClient, ids: &[MessageId]) -> Result<MessageId, Refusal> {
    ws.wait_for(|frame| match frame {
        ServerFrame::Sent { id, .. } if ids.contains(id) => Some(Ok(*id)),
        ServerFrame::Refused(refusal) if refusal.id.is_some_and(|id| ids.contains(&id)) => {
            Some(Err(refusal.clone()))
        }
        _ => None,
    })
    .await
}

async fn send_until_accepted(ws: &mut WsClient, id: MessageId, room: RoomId, text: &str) {
    loop {
        ws.send(&ws_client::message_frame(id, room, text)).await;
        match next_answer(ws, &[id]).await {
            Ok(_) => return,
            Err(refusal) => {
                let wait = refusal.retry_after_ms.unwrap();
                tokio::time::sleep(Duration::from_millis(wait.into())).await;
            }
        }
    }
}

#[tokio::test]
async fn a_new_connection_holds_nothing_back() {
    let server = Server::start_with(|command| {
        command.args(["--limits", "messages=2"]);
    })
    .await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    let ids: Vec<MessageId> = (0..5).map(|_| message_id()).collect();
    use_up_send_rate(&mut ws).await;
    for id in &ids {
        ws.send(&ws_client::message_frame(*id, room, "again")).await;
    }
    ws.wait_for_refusal(ids[4]).await;
    drop(ws);
    let mut again = ada.connect().await;
    send_until_accepted(&mut again, ids[4], room, "again").await;
}

#[tokio::test]
async fn calls_beyond_the_limit_are_told_when_to_retry() {
    let server = Server::start_with(|command| {
        command.args(["--limits", "messages=1/10s"]);
    })
    .await;
    let mut ws = Browser::join(&server, "Ada").await.connect().await;
    let to = Browser::join(&server, "Grace")
        .await
        .connect()
        .await
        .me()
        .id;
    let room = ws.general();
    ws.send_message(room, "the only one").await;
    let action = json!({
        "type": "call", "call": call_id(), "action": "start", "to": to, "media": "voice", "ref": "x",
    });
    ws.send_text(&action.to_string()).await;
    let refusal = ws
        .wait_for(|frame| match frame {
            ServerFrame::Error(refusal) => Some(refusal.clone()),
            _ => None,
        })
        .await;
    assert_eq!(refusal.code, ErrorCode::RateLimited, "{refusal:?}");
    assert!(
        refusal
            .retry_after_ms
            .is_some_and(|wait| (1..=10_000).contains(&wait))
    );
    assert_eq!(
        refusal.reference,
        Some(FrameReference::Text("x".to_owned()))
    );
}

#[tokio::test]
async fn welcome_names_the_limits_that_are_enforced() {
    let server = Server::start_with(|command| {
        command.args(["--limits", "messages=3", "--replay-events", "7"]);
        command.args(["--upload-bytes", "2000"]);
    })
    .await;
    let ws = Browser::join(&server, "Ada").await.connect().await;
    let expected = limits::Limits {
        send_burst: 3,
        max_replay_events: 7,
        max_upload_bytes: 2_000,
        ..limits::Limits::default()
    };
    assert_eq!(ws.welcome().limits, expected);
}
