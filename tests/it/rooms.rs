//! Rooms: creation, membership and access.

use crate::support::{Browser, Server, WsClient, browser::location, ws_client};
use rialto::{
    model::room::{RoomKind, RoomSummary},
    protocol::ws::ServerFrame,
};

async fn wait_for_room(ws: &mut WsClient) -> RoomSummary {
    ws.wait_for(|frame| match frame {
        ServerFrame::Room { room } => Some(room.clone()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_room_that_an_administrator_makes_reaches_every_connected_client() {
    let server = Server::start().await;
    let admin = server.create_administrator().await;
    let ada = Browser::join(&server, "Ada").await;
    let grace = Browser::join(&server, "Grace").await;
    let (mut ada, mut grace) = (ada.connect().await, grace.connect().await);
    let away = Browser::join(&server, "Away").await;
    let made = admin
        .post("/fn/create-room", &[("name", "The Arsenal")])
        .await;
    assert_eq!(location(&made), "/chat/the-arsenal");
    let (room, same) = (
        wait_for_room(&mut ada).await,
        wait_for_room(&mut grace).await,
    );
    assert_eq!(
        (room.id, room.title.as_str(), room.kind),
        (same.id, "The Arsenal", RoomKind::Public)
    );
    ada.send_message(room.id, "ships!").await;
    assert_eq!(grace.wait_for_text("ships!").await.room, room.id);

    let away = away.connect().await;
    assert_eq!(
        away.room("the-arsenal").unread,
        1,
        "users who are offline become members too"
    );
    let newcomer = Browser::join(&server, "Newcomer").await.connect().await;
    let summary = newcomer.room("the-arsenal");
    assert_eq!(
        (summary.head, summary.unread),
        (1, 0),
        "messages from before the user joined are not unread"
    );
}

#[tokio::test]
async fn a_guest_cannot_make_a_room_and_no_room_is_made_twice() {
    let server = Server::start().await;
    let admin = server.create_administrator().await;
    let guest = Browser::join(&server, "Guest").await;
    guest.post("/fn/create-room", &[("name", "Hideout")]).await;
    admin.post("/fn/create-room", &[("name", "Arsenal")]).await;
    admin
        .post("/fn/create-room", &[("name", "  arsenal ")])
        .await;
    admin.post("/fn/create-room", &[("name", "")]).await;
    let ws = guest.connect().await;
    let slugs: Vec<_> = ws
        .welcome()
        .rooms
        .iter()
        .map(|room| room.slug.as_str())
        .collect();
    assert_eq!(slugs, ["general", "arsenal"]);

    // The page shows the reason for a refusal.
    let form = [("name", "Hideout")];
    let back = guest.submit_form("/chat", "/fn/create-room", &form).await;
    assert!(back.starts_with("/chat?"), "{back}");
    let shown = admin.html(&back).await;
    assert!(
        shown.contains("Only editors and administrators can create rooms"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_direct_room_is_for_two_and_there_is_one_for_each_pair() {
    let server = Server::start().await;
    let (ada, grace) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Grace").await,
    );
    let (mut ada_ws, mut grace_ws) = (ada.connect().await, grace.connect().await);
    let mallory = Browser::join(&server, "Mallory").await;
    let mut mallory_ws = mallory.connect().await;
    let (ada_id, grace_id) = (ada_ws.me().id.to_string(), grace_ws.me().id.to_string());

    let opened = ada.post("/fn/open-direct", &[("with", &grace_id)]).await;
    let place = location(&opened).to_owned();
    let (hers, theirs) = (
        wait_for_room(&mut ada_ws).await,
        wait_for_room(&mut grace_ws).await,
    );
    assert_eq!(
        (hers.id, hers.kind, hers.title.as_str()),
        (theirs.id, RoomKind::Direct, "Grace")
    );
    assert_eq!(
        (theirs.title.as_str(), place),
        ("Ada", format!("/chat/{}", hers.slug))
    );
    let again = grace.post("/fn/open-direct", &[("with", &ada_id)]).await;
    assert_eq!(
        location(&again),
        format!("/chat/{}", hers.slug),
        "the same room, opened by the other user"
    );

    ada_ws.send_message(hers.id, "between us").await;
    assert_eq!(grace_ws.wait_for_text("between us").await.room, hers.id);
    let overheard = mallory_ws.frames_until_pong().await;
    assert!(
        overheard
            .iter()
            .all(|frame| ws_client::as_message(frame).is_none()),
        "{overheard:#?}"
    );
    assert!(
        mallory
            .connect()
            .await
            .welcome()
            .rooms
            .iter()
            .all(|room| room.id != hers.id)
    );
    let path = format!("/chat/{}", hers.slug);
    assert!(grace.html(&path).await.contains("between us"));
    assert!(
        !mallory
            .get(&path)
            .await
            .text()
            .await
            .unwrap()
            .contains("between us")
    );

    let alone = ada.post("/fn/open-direct", &[("with", &ada_id)]).await;
    assert!(
        !location(&alone).starts_with("/chat/"),
        "{}",
        location(&alone)
    );
}
