//! Whatever a client says, it is answered as documented, and nobody else notices.

use crate::support::{Greeting, Page, Person, Server, call_id, client_id, message_id, page};
use rialto::{
    model::{
        CallId, Cursor, Epoch, MessageId, RoomId, UserId,
        call::{Action, Media, Signal},
        limits,
    },
    protocol::ws::{ClientFrame, ErrorCode, RoomCursor, ServerFrame},
};
use serde_json::{Value, json};

/// Two who talk, and a third who misbehaves.
struct Scene {
    server: Server,
    ada: Page,
    grace: Page,
    mallory: Person,
    said: u32,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start().await;
        let (ada, grace) = (
            Person::join(&server, "Ada").await,
            Person::join(&server, "Grace").await,
        );
        let (ada, grace) = (ada.page().await, grace.page().await);
        let mallory = Person::join(&server, "Mallory").await;
        Self {
            server,
            ada,
            grace,
            mallory,
            said: 0,
        }
    }

    fn general(&self) -> RoomId {
        self.ada.general()
    }

    /// The others still talk to one another.
    async fn others_go_on(&mut self) {
        self.said += 1;
        let (room, text) = (self.general(), format!("still here, {}", self.said));
        self.ada.say(room, &text).await;
        self.grace.hears(&text).await;
    }

    /// The direct room of the two others, which Mallory has no part in, with a message in it.
    async fn private_room(&mut self) -> RoomId {
        // Whoever calls somebody has a direct room with them.
        let call = call_id();
        let start = Action::Start {
            to: self.grace.me().id,
            media: Media::Voice,
        };
        self.ada
            .send(&ClientFrame::Call {
                call,
                action: start,
            })
            .await;
        let room = self
            .ada
            .until(|frame| match frame {
                ServerFrame::Call { call: view } if view.id == call => Some(view.room),
                _ => None,
            })
            .await;
        self.ada
            .send(&ClientFrame::Call {
                call,
                action: Action::HangUp,
            })
            .await;
        self.ada.say(room, "just between us").await;
        room
    }
}

#[tokio::test]
async fn what_is_no_frame_is_refused_in_words() {
    let mut scene = Scene::new().await;
    let mut mallory = scene.mallory.page().await;
    let room = scene.general();
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
        r#"{"type":"upload","id":"0198c5f0-0000-7000-8000-000000000000","room":"0198c5f0-0000-7000-8000-000000000000","name":"a","size":-1}"#,
        r#"{"type":"call","call":"0198c5f0-0000-7000-8000-000000000000"}"#,
        r#"{"type":"call","call":"0198c5f0-0000-7000-8000-000000000000","action":"explode"}"#,
        r#"{"type":"call","call":"0198c5f0-0000-7000-8000-000000000000","action":"signal","signal":{"kind":"smoke"}}"#,
    ]
    .map(str::to_owned);
    for text in cases {
        mallory.send_text(&text).await;
        let (code, reason) = mallory.error().await;
        assert_eq!(code, ErrorCode::Malformed, "{text}");
        assert!(reason.starts_with("that is no frame: "), "{text}: {reason}");
        scene.others_go_on().await;
    }

    for (text, why) in [
        ("  \n ".to_owned(), "write something"),
        (
            "a".repeat(limits::MESSAGE_CHARS + 1),
            "4000 characters at most",
        ),
    ] {
        let frame = json!({ "type": "send", "id": message_id(), "room": room, "text": text });
        mallory.send_text(&frame.to_string()).await;
        let (code, reason) = mallory.error().await;
        assert_eq!(code, ErrorCode::Malformed);
        assert!(reason.contains(why), "{reason}");
        scene.others_go_on().await;
    }
    mallory.say(room, "and Mallory may still speak").await;
}

#[tokio::test]
async fn a_frame_that_only_the_server_may_send_is_refused() {
    let mut scene = Scene::new().await;
    let mut mallory = scene.mallory.page().await;
    let room = scene.general();
    let person = serde_json::to_value(scene.ada.me()).unwrap();
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
        assert_eq!(mallory.error().await.0, ErrorCode::ServerOnly, "{frame}");
        scene.others_go_on().await;
    }
    let heard = scene.grace.all_so_far().await;
    assert!(
        heard
            .iter()
            .filter_map(page::message)
            .all(|message| page::text_of(message) != "forged"),
        "{heard:#?}"
    );
}

#[tokio::test]
async fn a_text_that_is_too_large_is_refused_and_one_beyond_all_bounds_ends_the_connection() {
    let mut scene = Scene::new().await;
    let mut mallory = scene.mallory.page().await;
    for bytes in [limits::TEXT_FRAME_BYTES + 1, 2 * limits::CHUNK_BYTES] {
        mallory.send_text(&"a".repeat(bytes)).await;
        assert_eq!(mallory.error().await.0, ErrorCode::TooLarge, "{bytes}");
        scene.others_go_on().await;
    }
    let beyond = "a".repeat(4 * limits::CHUNK_BYTES);
    mallory.send_text(&beyond).await;
    assert_eq!(
        mallory.expect_close().await,
        (1009, "that message is too big".to_owned())
    );
    scene.others_go_on().await;

    let mut mallory = scene.mallory.page().await;
    mallory.send_bytes(beyond.into_bytes()).await;
    assert_eq!(mallory.expect_close().await.0, 1009);
    scene.others_go_on().await;

    let mut mallory = scene.mallory.page().await;
    let room = mallory.general();
    mallory.say(room, "and may connect again").await;
}

#[tokio::test]
async fn bytes_that_are_no_chunk_are_refused() {
    let mut scene = Scene::new().await;
    let mut mallory = scene.mallory.page().await;
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
        (chunk(1, limits::CHUNK_BYTES + 1), ErrorCode::TooLarge),
    ] {
        mallory.send_bytes(frame).await;
        assert_eq!(mallory.error().await.0, code);
        scene.others_go_on().await;
    }

    mallory.send_bytes(chunk(1, 10)).await;
    let (code, reason) = mallory.refused(id).await;
    assert_eq!(code, ErrorCode::Invalid);
    assert!(reason.contains("not announced"), "{reason}");
    scene.others_go_on().await;

    // Out of step: told where to go on, and nothing is written.
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
    assert_eq!(ready(&mut mallory, id).await, 0);
    mallory.send_chunk(id, 7, b"out of step").await;
    assert_eq!(ready(&mut mallory, id).await, 0);
    // Longer than was announced: given up.
    mallory.send_chunk(id, 0, &[0; 21]).await;
    let (code, reason) = mallory.refused(id).await;
    assert_eq!(code, ErrorCode::Invalid);
    assert!(reason.contains("longer than was announced"), "{reason}");
    assert_eq!(scene.server.kept_files(), Vec::<std::path::PathBuf>::new());
    scene.others_go_on().await;
}

async fn ready(page: &mut Page, wanted: MessageId) -> u64 {
    page.until(|frame| match frame {
        ServerFrame::UploadReady { id, offset } if *id == wanted => Some(*offset),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn hello_is_said_once_and_first() {
    let mut scene = Scene::new().await;
    let mut mallory = scene.mallory.page().await;
    mallory.hello(Greeting::default()).await;
    assert_eq!(mallory.error().await.0, ErrorCode::AlreadyGreeted);
    scene.others_go_on().await;

    let no_hello = (4002, "the first frame has to be hello".to_owned());
    for first in [
        r#"{"type":"ping","n":1}"#,
        r#"{"type":"hello"}"#,
        r#"{"type":"hello","client":"me"}"#,
        "hello",
    ] {
        let mut mallory = Page::dial(&scene.mallory).await;
        mallory.send_text(first).await;
        assert_eq!(mallory.expect_close().await, no_hello, "{first}");
        scene.others_go_on().await;
    }
    let mut mallory = Page::dial(&scene.mallory).await;
    mallory.send_bytes(vec![1; 100]).await;
    assert_eq!(mallory.expect_close().await, no_hello);
    scene.others_go_on().await;
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for_for_ever() {
    let mut scene = Scene::new().await;
    let mut mute = Page::dial(&scene.mallory).await;
    let closed = tokio::time::timeout(std::time::Duration::from_secs(20), mute.listen()).await;
    let why = closed
        .expect("within 20 s")
        .expect_err("nothing is said before hello");
    assert_eq!(why.map(|why| u16::from(why.code)), Some(4002));
    scene.others_go_on().await;
}

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
        Action::Signal { signal: restart },
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

#[tokio::test]
async fn who_sends_nothing_but_errors_is_closed_with_4003() {
    let mut scene = Scene::new().await;
    let mut mallory = scene.mallory.page().await;
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
        (4003, "too many refused frames".to_owned())
    );
    scene.others_go_on().await;
    let mut mallory = scene.mallory.page().await;
    let room = mallory.general();
    mallory.say(room, "sorry").await;
}

#[tokio::test]
async fn who_sends_faster_than_anybody_writes_is_told_to_slow_down() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_SEND_BURST", "5");
    })
    .await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let room = page.general();
    let ids: Vec<MessageId> = (0..200).map(|_| message_id()).collect();
    for id in &ids {
        page.send(&page::send(*id, room, "buy now")).await;
    }
    let mut too_fast = 0;
    for wanted in ids {
        let refused = page
            .until(|frame| match frame {
                ServerFrame::Sent { id, .. } if *id == wanted => Some(None),
                ServerFrame::Refused { id, code, .. } if *id == wanted => Some(Some(*code)),
                _ => None,
            })
            .await;
        assert!(matches!(refused, None | Some(ErrorCode::TooFast)));
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
        Person::join(&server, "Ada").await,
        Person::join(&server, "Grace").await,
    );
    let mut silent = ada
        .page_with(Greeting {
            client: client_id(),
            ..Greeting::default()
        })
        .await;
    let mut alive = grace.page().await;
    assert_eq!(alive.welcome().heartbeat, 1_000);
    let who = silent.me().clone();
    let closing = silent.expect_close();
    // The other says something as often as it was asked to, and is kept.
    let pinging = async {
        let mut every = tokio::time::interval(std::time::Duration::from_millis(500));
        loop {
            every.tick().await;
            alive.send(&ClientFrame::Ping { n: 1 }).await;
        }
    };
    let closed = tokio::select! {
        closed = closing => closed,
        () = pinging => unreachable!("it never ends"),
    };
    assert_eq!(closed, (4009, "nothing heard from the client".to_owned()));
    assert_eq!(
        alive.presence_of(&who).await,
        rialto::model::user::Presence::Gone
    );
}
