//! Rooms: who makes them, who is in them, and who is not.

use crate::support::{Page, Person, Server, page, person::location};
use rialto::{
    model::room::{RoomKind, RoomSummary},
    protocol::ws::ServerFrame,
};

async fn new_room(page: &mut Page) -> RoomSummary {
    page.until(|frame| match frame {
        ServerFrame::Room { room } => Some(room.clone()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_room_that_an_administrator_makes_appears_on_every_open_page() {
    let server = Server::start().await;
    let admin = server.administrator().await;
    let ada = Person::join(&server, "Ada").await;
    let grace = Person::join(&server, "Grace").await;
    let (mut ada, mut grace) = (ada.page().await, grace.page().await);
    let away = Person::join(&server, "Away").await;
    let made = admin
        .post("/fn/create-room", &[("name", "The Arsenal")])
        .await;
    assert_eq!(location(&made), "/chat/the-arsenal");
    let (room, same) = (new_room(&mut ada).await, new_room(&mut grace).await);
    assert_eq!(
        (room.id, room.title.as_str(), room.kind),
        (same.id, "The Arsenal", RoomKind::Public)
    );
    ada.say(room.id, "ships!").await;
    assert_eq!(grace.hears("ships!").await.room, room.id);

    let away = away.page().await;
    assert_eq!(
        away.room("the-arsenal").unread,
        1,
        "who was away is a member all the same"
    );
    let newcomer = Person::join(&server, "Newcomer").await.page().await;
    let summary = newcomer.room("the-arsenal");
    assert_eq!(
        (summary.head, summary.unread),
        (1, 0),
        "what was said before one came is not unread"
    );
}

#[tokio::test]
async fn a_guest_cannot_make_a_room_and_no_room_is_made_twice() {
    let server = Server::start().await;
    let admin = server.administrator().await;
    let guest = Person::join(&server, "Guest").await;
    guest.post("/fn/create-room", &[("name", "Hideout")]).await;
    admin.post("/fn/create-room", &[("name", "Arsenal")]).await;
    admin
        .post("/fn/create-room", &[("name", "  arsenal ")])
        .await;
    admin.post("/fn/create-room", &[("name", "")]).await;
    let page = guest.page().await;
    let slugs: Vec<_> = page
        .welcome()
        .rooms
        .iter()
        .map(|room| room.slug.as_str())
        .collect();
    assert_eq!(slugs, ["general", "arsenal"]);

    // A form that is refused comes back with the reason in words.
    let form = [("name", "Hideout")];
    let back = guest.submit("/chat", "/fn/create-room", &form).await;
    assert!(back.starts_with("/chat?"), "{back}");
    let shown = admin.html(&back).await;
    assert!(
        shown.contains("Only editors and administrators may make rooms"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_direct_room_is_for_two_and_there_is_one_for_each_pair() {
    let server = Server::start().await;
    let (ada, grace) = (
        Person::join(&server, "Ada").await,
        Person::join(&server, "Grace").await,
    );
    let (mut ada_page, mut grace_page) = (ada.page().await, grace.page().await);
    let mallory = Person::join(&server, "Mallory").await;
    let mut mallory_page = mallory.page().await;
    let (ada_id, grace_id) = (ada_page.me().id.to_string(), grace_page.me().id.to_string());

    let opened = ada.post("/fn/open-direct", &[("with", &grace_id)]).await;
    let place = location(&opened).to_owned();
    let (hers, theirs) = (
        new_room(&mut ada_page).await,
        new_room(&mut grace_page).await,
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
        "the same room from the other side"
    );

    ada_page.say(hers.id, "between us").await;
    assert_eq!(grace_page.hears("between us").await.room, hers.id);
    let overheard = mallory_page.all_so_far().await;
    assert!(
        overheard.iter().all(|frame| page::message(frame).is_none()),
        "{overheard:#?}"
    );
    assert!(
        mallory
            .page()
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
