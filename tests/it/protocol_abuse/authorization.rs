//! Access to other users' rooms, messages, uploads and calls.

use super::{AbuseFixture, wait_for_upload_ready};
use crate::support::{HelloFrame, WsClient, call_id, message_id, ws_client};
use rialto::{
    model::{
        CallId, Cursor, Epoch, RoomId, UserId,
        call::{ClientAction, Media, SignalingMessage},
    },
    protocol::ws::{ClientFrame, ErrorCode, RoomCursor, ServerFrame},
};

#[tokio::test]
async fn a_room_that_is_somebody_elses_is_as_if_it_were_not_there() {
    let mut fixture = AbuseFixture::new().await;
    let private = fixture.create_private_room().await;
    let nowhere = RoomId(message_id().0);
    let mut mallory = fixture.mallory.connect().await;
    assert!(
        mallory
            .welcome()
            .rooms
            .iter()
            .all(|room| room.id != private)
    );

    let (theirs, none) = (
        errors_of_every_room_frame(&mut mallory, private).await,
        errors_of_every_room_frame(&mut mallory, nowhere).await,
    );
    assert_eq!(
        theirs, none,
        "a private and a missing room give the same errors"
    );
    assert!(
        theirs
            .iter()
            .all(|(code, _)| *code == ErrorCode::NoSuchRoom),
        "{theirs:?}"
    );
    fixture.assert_others_unaffected().await;

    // Nothing of Mallory's reached the private room, nor the reverse.
    fixture
        .ada
        .send_message(private, "do you trust Mallory?")
        .await;
    let before = fixture.grace.frames_until_pong().await;
    let received: Vec<_> = before
        .iter()
        .filter(|frame| is_about_room(frame, private))
        .collect();
    assert!(received.iter().all(|frame| {
        ws_client::as_message(frame).is_some_and(|message| message.author == *fixture.ada.me())
    }));
    let mallory_received = mallory.frames_until_pong().await;
    assert!(
        !mallory_received
            .iter()
            .any(|frame| is_about_room(frame, private)),
        "{mallory_received:#?}"
    );
    let page = fixture
        .mallory
        .get(&format!("/chat/{private}"))
        .await
        .text()
        .await
        .unwrap();
    assert!(!page.contains("just between us"), "{page}");
}

/// The errors for every kind of frame that names a room.
async fn errors_of_every_room_frame(ws: &mut WsClient, room: RoomId) -> Vec<(ErrorCode, String)> {
    let mut errors = Vec::new();
    let id = message_id();
    ws.send(&ws_client::message_frame(id, room, "let me in"))
        .await;
    errors.push(ws.wait_for_refusal(id).await);
    let id = message_id();
    let name = "a.txt".to_owned();
    ws.send(&ClientFrame::Upload {
        id,
        room,
        name,
        size: 3,
    })
    .await;
    errors.push(ws.wait_for_refusal(id).await);
    let cursor = Cursor {
        epoch: Epoch("00".into()),
        seq: 0,
    };
    let cursor = RoomCursor { room, cursor };
    for frame in [
        ClientFrame::Resume { cursor },
        ClientFrame::Read { room, seq: 1 },
        ClientFrame::Typing { room },
    ] {
        ws.send(&frame).await;
        errors.push(ws.wait_for_error().await);
    }
    errors
}

fn is_about_room(frame: &ServerFrame, wanted: RoomId) -> bool {
    match frame {
        ServerFrame::Event { room, .. }
        | ServerFrame::Typing { room, .. }
        | ServerFrame::Resumed { room, .. }
        | ServerFrame::Read { room, .. }
        | ServerFrame::Sent { room, .. } => *room == wanted,
        ServerFrame::Room { room } => room.id == wanted,
        _ => false,
    }
}

#[tokio::test]
async fn a_hello_with_a_cursor_of_somebody_elses_room_is_refused_and_the_connection_goes_on() {
    let mut fixture = AbuseFixture::new().await;
    let private = fixture.create_private_room().await;
    let cursor = Cursor {
        epoch: Epoch("00".into()),
        seq: 0,
    };
    let mut mallory = fixture
        .mallory
        .connect_with(HelloFrame::with_cursor(private, cursor))
        .await;
    assert_eq!(mallory.wait_for_error().await.0, ErrorCode::NoSuchRoom);
    let room = mallory.general();
    mallory.send_message(room, "hello all").await;
    fixture.assert_others_unaffected().await;
}

#[tokio::test]
async fn ids_that_belong_to_others_are_no_use() {
    let mut fixture = AbuseFixture::new().await;
    let mut mallory = fixture.mallory.connect().await;
    let room = fixture.general();

    // Another user's message.
    let id = message_id();
    fixture
        .ada
        .send(&ws_client::message_frame(id, room, "the original"))
        .await;
    fixture.ada.wait_for_ack(id).await;
    fixture.grace.wait_for_text("the original").await;
    mallory
        .send(&ws_client::message_frame(id, room, "the forgery"))
        .await;
    assert_eq!(mallory.wait_for_refusal(id).await.0, ErrorCode::Invalid);
    let (name, size) = ("forgery.txt".to_owned(), 3);
    mallory
        .send(&ClientFrame::Upload {
            id,
            room,
            name,
            size,
        })
        .await;
    assert_eq!(mallory.wait_for_refusal(id).await.0, ErrorCode::Invalid);
    fixture.assert_others_unaffected().await;

    // Ada's own message, in another room.
    let private = fixture.create_private_room().await;
    fixture
        .ada
        .send(&ws_client::message_frame(id, private, "the original"))
        .await;
    assert_eq!(fixture.ada.wait_for_refusal(id).await.0, ErrorCode::Invalid);

    // Another user's upload can be neither continued nor cancelled.
    let upload = message_id();
    let (name, size) = ("ada.txt".to_owned(), 6);
    fixture
        .ada
        .send(&ClientFrame::Upload {
            id: upload,
            room,
            name,
            size,
        })
        .await;
    assert_eq!(wait_for_upload_ready(&mut fixture.ada, upload).await, 0);
    mallory.send_chunk(upload, 0, b"xxx").await;
    assert_eq!(mallory.wait_for_refusal(upload).await.0, ErrorCode::Invalid);
    mallory
        .send(&ClientFrame::UploadCancel { id: upload })
        .await;
    mallory.frames_until_pong().await;
    fixture.ada.send_chunk(upload, 0, b"rialto").await;
    fixture.ada.wait_for_ack(upload).await;
    fixture.assert_others_unaffected().await;

    let received = fixture.grace.frames_until_pong().await;
    assert!(
        received
            .iter()
            .filter_map(ws_client::as_message)
            .all(|message| message.author != *mallory.me()),
        "{received:#?}"
    );
}

#[tokio::test]
async fn a_call_between_others_cannot_be_touched() {
    let mut fixture = AbuseFixture::new().await;
    let mut mallory = fixture.mallory.connect().await;
    let call = call_id();
    let action = ClientAction::Start {
        to: fixture.grace.me().id,
        media: Media::Video,
    };
    fixture.ada.send(&ClientFrame::Call { call, action }).await;
    wait_for_ringing(&mut fixture.grace, call).await;

    let restart = SignalingMessage::RestartIce;
    for action in [
        ClientAction::Ringing,
        ClientAction::CannotAnswer,
        ClientAction::Accept,
        ClientAction::Decline,
        ClientAction::HangUp,
        ClientAction::Connected,
        ClientAction::Disconnected,
        ClientAction::Signal {
            signal: restart,
            to: None,
        },
    ] {
        mallory.send(&ClientFrame::Call { call, action }).await;
        assert_eq!(mallory.wait_for_error().await.0, ErrorCode::NoSuchCall);
    }
    let to = fixture.ada.me().id;
    let action = ClientAction::Start {
        to,
        media: Media::Voice,
    };
    mallory.send(&ClientFrame::Call { call, action }).await;
    assert_eq!(
        mallory.wait_for_error().await.0,
        ErrorCode::Invalid,
        "the call id is in use"
    );
    let action = ClientAction::Start {
        to: UserId(message_id().0),
        media: Media::Voice,
    };
    let call_to_nobody = call_id();
    mallory
        .send(&ClientFrame::Call {
            call: call_to_nobody,
            action,
        })
        .await;
    assert_eq!(mallory.wait_for_error().await.0, ErrorCode::NoSuchUser);

    // The call still rings.
    let action = ClientAction::Accept;
    fixture
        .grace
        .send(&ClientFrame::Call { call, action })
        .await;
    fixture
        .ada
        .wait_for(|frame| match frame {
            ServerFrame::Call { call: view } if view.id == call && view.state.is_answered() => {
                Some(())
            }
            _ => None,
        })
        .await;
    fixture.assert_others_unaffected().await;
}

async fn wait_for_ringing(ws: &mut WsClient, call: CallId) {
    ws.wait_for(|frame| match frame {
        ServerFrame::Call { call: view } if view.id == call && view.state.is_unanswered() => {
            Some(())
        }
        _ => None,
    })
    .await;
}
