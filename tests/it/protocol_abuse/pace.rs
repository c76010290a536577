//! Too much, too fast, or nothing at all.

use super::Scene;
use crate::support::{Greeting, Page, Person, Server, client_id, message_id, page};
use rialto::{
    model::{MessageId, RoomId, user::Presence},
    protocol::ws::{ClientFrame, ErrorCode, ServerFrame},
};
use std::time::Duration;

#[tokio::test]
async fn who_says_nothing_is_not_waited_for_for_ever() {
    let mut scene = Scene::new().await;
    let mut mute = Page::dial(&scene.mallory).await;
    let closed = tokio::time::timeout(Duration::from_secs(20), mute.listen()).await;
    let why = closed
        .expect("within 20 s")
        .expect_err("nothing is said before hello");
    assert_eq!(why.map(|why| u16::from(why.code)), Some(4002));
    scene.others_go_on().await;
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
        let mut every = tokio::time::interval(Duration::from_millis(500));
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
    assert_eq!(alive.presence_of(&who).await, Presence::Gone);
}
