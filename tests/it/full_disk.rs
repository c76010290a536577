//! A full disk refuses writes; every message acknowledged afterwards is stored.

use crate::support::{Browser, HelloFrame, Server, SmallDisk, message_id, ws_client};
use rialto::{model::Cursor, protocol::ws::ErrorCode};

#[tokio::test]
async fn what_is_acknowledged_after_the_disk_was_full_is_stored() {
    let Some(disk) = SmallDisk::mount(3).await else {
        return;
    };
    let mut server = Server::start_on_disk(&disk).await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let general = ws.room("general").clone();
    ws.send_message(general.id, "there is room").await;

    disk.fill();
    let refused = message_id();
    ws.send(&ws_client::message_frame(
        refused,
        general.id,
        "there is none",
    ))
    .await;
    let (_, reason) = ws.wait_for_refusal(refused).await;
    assert!(!reason.is_empty());
    let following = message_id();
    let frame = ws_client::message_frame(following, general.id, "nor here");
    ws.send(&frame).await;
    let (code, _) = ws.wait_for_refusal(following).await;
    assert_eq!(code, ErrorCode::Unavailable);
    assert_eq!(ada.get("/readyz").await.status(), 503);

    disk.free();
    assert_eq!(ada.get("/readyz").await.status(), 200);
    ws.send(&ws_client::message_frame(refused, general.id, "one"))
        .await;
    ws.wait_for_ack(refused).await;
    let texts = ["one", "two", "three", "four", "five"];
    for text in &texts[1..] {
        ws.send_message(general.id, text).await;
    }
    drop(ws);

    assert!(server.stop().await.success());
    server.restart().await;
    let cursor = Cursor {
        epoch: general.epoch,
        seq: 0,
    };
    let mut late = ada
        .connect_with(HelloFrame::with_cursor(general.id, cursor))
        .await;
    let frames = late.frames_until_pong().await;
    let stored: Vec<_> = frames
        .iter()
        .filter_map(ws_client::as_message)
        .map(ws_client::text_of)
        .collect();
    assert_eq!(
        stored,
        [&["there is room"], &texts[..]].concat(),
        "every acknowledged message, no refused one"
    );
}

#[tokio::test]
async fn a_name_that_a_full_disk_refused_can_be_taken_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(3).await else {
        return;
    };
    let server = Server::start_on_disk(&disk).await;
    // The link is the last write of the start-up.
    server.claim_path().await;
    disk.fill();
    let browser = Browser::anonymous(&server, "Ada");
    let form = [("name", "Ada"), ("next", "/chat")];
    browser.post("/fn/pick-name", &form).await;
    assert!(
        browser.cookie().is_none(),
        "no session, because the name was not stored"
    );
    disk.free();
    let mut ws = Browser::join(&server, "Ada").await.connect().await;
    ws.send_message(ws.general(), "here").await;
}
