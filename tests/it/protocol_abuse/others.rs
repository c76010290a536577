//! What belongs to somebody else: their rooms, their messages, their calls.

use super::{Scene, ready};
use crate::support::{Greeting, Page, call_id, message_id, page};
use rialto::{
    model::{
        CallId, Cursor, Epoch, RoomId, UserId,
        call::{Action, Media, Signal},
    },
    protocol::ws::{ClientFrame, ErrorCode, RoomCursor, ServerFrame},
};

#[tokio::test]
async fn a_room_that_is_somebody_elses_is_as_if_it_were_not_there() {
    let mut scene = Scene::new().await;
    let private = scene.private_room().await;
    let nowhere = RoomId(message_id().0);
    let mut mallory = scene.mallory.page().await;
    assert!(
        mallory
            .welcome()
            .rooms
            .iter()
            .all(|room| room.id != private)
    );

    let (theirs, none) = (
        answers(&mut mallory, private).await,
        answers(&mut mallory, nowhere).await,
    );
    assert_eq!(theirs, none, "the two cannot be told apart");
    assert!(
        theirs
            .iter()
            .all(|(code, _)| *code == ErrorCode::NoSuchRoom),
        "{theirs:?}"
    );
    scene.others_go_on().await;

    // Nothing of it reached the two, and nothing of theirs reaches Mallory.
    scene.ada.say(private, "do you trust Mallory?").await;
    let before = scene.grace.all_so_far().await;
    let heard: Vec<_> = before
        .iter()
        .filter(|frame| is_about(frame, private))
        .collect();
    assert!(heard.iter().all(|frame| {
        page::message(frame).is_some_and(|message| message.author == *scene.ada.me())
    }));
    let overheard = mallory.all_so_far().await;
    assert!(
        !overheard.iter().any(|frame| is_about(frame, private)),
        "{overheard:#?}"
    );
    let page = scene
        .mallory
        .get(&format!("/chat/{private}"))
        .await
        .text()
        .await
        .unwrap();
    assert!(!page.contains("just between us"), "{page}");
}

/// How everything that one can do in a room is answered.
async fn answers(page: &mut Page, room: RoomId) -> Vec<(ErrorCode, String)> {
    let mut answers = Vec::new();
    let id = message_id();
    page.send(&page::send(id, room, "let me in")).await;
    answers.push(page.refused(id).await);
    let id = message_id();
    let name = "a.txt".to_owned();
    page.send(&ClientFrame::Upload {
        id,
        room,
        name,
        size: 3,
    })
    .await;
    answers.push(page.refused(id).await);
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
        page.send(&frame).await;
        answers.push(page.error().await);
    }
    answers
}

fn is_about(frame: &ServerFrame, wanted: RoomId) -> bool {
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
async fn a_hello_with_a_cursor_of_somebody_elses_room_is_refused_and_the_page_goes_on() {
    let mut scene = Scene::new().await;
    let private = scene.private_room().await;
    let cursor = Cursor {
        epoch: Epoch("00".into()),
        seq: 0,
    };
    let mut mallory = scene
        .mallory
        .page_with(Greeting::from(private, cursor))
        .await;
    assert_eq!(mallory.error().await.0, ErrorCode::NoSuchRoom);
    let room = mallory.general();
    mallory.say(room, "hello all").await;
    scene.others_go_on().await;
}

#[tokio::test]
async fn ids_that_belong_to_others_are_no_use() {
    let mut scene = Scene::new().await;
    let mut mallory = scene.mallory.page().await;
    let room = scene.general();

    // Somebody else's message.
    let id = message_id();
    scene.ada.send(&page::send(id, room, "the original")).await;
    scene.ada.sent(id).await;
    scene.grace.hears("the original").await;
    mallory.send(&page::send(id, room, "the forgery")).await;
    assert_eq!(mallory.refused(id).await.0, ErrorCode::Invalid);
    let (name, size) = ("forgery.txt".to_owned(), 3);
    mallory
        .send(&ClientFrame::Upload {
            id,
            room,
            name,
            size,
        })
        .await;
    assert_eq!(mallory.refused(id).await.0, ErrorCode::Invalid);
    scene.others_go_on().await;

    // One's own message, in another room.
    let private = scene.private_room().await;
    scene
        .ada
        .send(&page::send(id, private, "the original"))
        .await;
    assert_eq!(scene.ada.refused(id).await.0, ErrorCode::Invalid);

    // Somebody else's upload: neither gone on with nor cancelled.
    let upload = message_id();
    let (name, size) = ("ada.txt".to_owned(), 6);
    scene
        .ada
        .send(&ClientFrame::Upload {
            id: upload,
            room,
            name,
            size,
        })
        .await;
    assert_eq!(ready(&mut scene.ada, upload).await, 0);
    mallory.send_chunk(upload, 0, b"xxx").await;
    assert_eq!(mallory.refused(upload).await.0, ErrorCode::Invalid);
    mallory
        .send(&ClientFrame::UploadCancel { id: upload })
        .await;
    mallory.all_so_far().await;
    scene.ada.send_chunk(upload, 0, b"rialto").await;
    scene.ada.sent(upload).await;
    scene.others_go_on().await;

    let heard = scene.grace.all_so_far().await;
    assert!(
        heard
            .iter()
            .filter_map(page::message)
            .all(|message| message.author != *mallory.me()),
        "{heard:#?}"
    );
}

#[tokio::test]
async fn a_call_between_others_cannot_be_touched() {
    let mut scene = Scene::new().await;
    let mut mallory = scene.mallory.page().await;
    let call = call_id();
    let action = Action::Start {
        to: scene.grace.me().id,
        media: Media::Video,
    };
    scene.ada.send(&ClientFrame::Call { call, action }).await;
    rings(&mut scene.grace, call).await;

    let restart = Signal::Restart;
    for action in [
        Action::Ringing,
        Action::Accept,
        Action::Decline,
        Action::HangUp,
        Action::Connected,
        Action::Lost,
        Action::Signal {
            signal: restart,
            to: None,
        },
    ] {
        mallory.send(&ClientFrame::Call { call, action }).await;
        assert_eq!(mallory.error().await.0, ErrorCode::NoSuchCall);
    }
    let to = scene.ada.me().id;
    let action = Action::Start {
        to,
        media: Media::Voice,
    };
    mallory.send(&ClientFrame::Call { call, action }).await;
    assert_eq!(
        mallory.error().await.0,
        ErrorCode::Invalid,
        "the id is taken"
    );
    let action = Action::Start {
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
    assert_eq!(mallory.error().await.0, ErrorCode::NoSuchUser);

    // It still rings, and can be answered.
    let action = Action::Accept;
    scene.grace.send(&ClientFrame::Call { call, action }).await;
    scene
        .ada
        .until(|frame| match frame {
            ServerFrame::Call { call: view } if view.id == call && view.state.is_answered() => {
                Some(())
            }
            _ => None,
        })
        .await;
    scene.others_go_on().await;
}

async fn rings(page: &mut Page, call: CallId) {
    page.until(|frame| match frame {
        ServerFrame::Call { call: view } if view.id == call && view.state.is_unanswered() => {
            Some(())
        }
        _ => None,
    })
    .await;
}
