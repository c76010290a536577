//! A full disk: what cannot be stored is refused, and nothing that is acknowledged afterwards is lost.

use crate::support::{Greeting, Person, Server, SmallDisk, message_id, page};
use rialto::model::Cursor;

#[tokio::test]
async fn what_is_acknowledged_after_the_disk_was_full_is_stored() {
    let Some(disk) = SmallDisk::mount(3).await else {
        return;
    };
    let mut server = Server::start_on(&disk).await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let general = page.room("general").clone();
    page.say(general.id, "there is room").await;

    disk.fill();
    let refused = message_id();
    page.send(&page::send(refused, general.id, "there is none"))
        .await;
    let (_, reason) = page.refused(refused).await;
    assert!(!reason.is_empty());
    assert_eq!(ada.get("/readyz").await.status(), 503);

    disk.free();
    assert_eq!(ada.get("/readyz").await.status(), 200);
    let texts = ["one", "two", "three", "four", "five"];
    for text in texts {
        page.say(general.id, text).await;
    }
    drop(page);

    assert!(server.stop().await.success());
    server.restart().await;
    let cursor = Cursor {
        epoch: general.epoch,
        seq: 0,
    };
    let mut late = ada.page_with(Greeting::from(general.id, cursor)).await;
    let frames = late.all_so_far().await;
    let stored: Vec<_> = frames
        .iter()
        .filter_map(page::message)
        .map(page::text_of)
        .collect();
    assert_eq!(
        stored,
        [&["there is room"], &texts[..]].concat(),
        "all that was acknowledged, and nothing that was refused"
    );
}

#[tokio::test]
async fn a_name_that_a_full_disk_refused_can_be_taken_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(3).await else {
        return;
    };
    let server = Server::start_on(&disk).await;
    // The last thing that is written at the start.
    server.claim().await;
    disk.fill();
    let nobody = Person::nobody(&server, "Ada");
    let form = [("name", "Ada"), ("next", "/chat")];
    nobody.post("/fn/pick-name", &form).await;
    assert!(nobody.cookie().is_none(), "the name was not stored");
    disk.free();
    let mut page = Person::join(&server, "Ada").await.page().await;
    page.say(page.general(), "here").await;
}
