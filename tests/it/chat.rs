//! Chat, as the people in it meet it.

use crate::support::{Greeting, Page, Person, Server, message_id, page, within};
use rialto::{
    chat::api::RoomPage,
    model::{
        Seq,
        room::{RoomKind, RoomSummary},
        user::Presence,
    },
    protocol::ws::{ClientFrame, ServerFrame},
};

async fn two(server: &Server) -> (Page, Page) {
    let (ada, grace) = (
        Person::join(server, "Ada").await,
        Person::join(server, "Grace").await,
    );
    (ada.page().await, grace.page().await)
}

#[tokio::test]
async fn a_message_is_told_to_everybody_in_the_room_in_the_words_of_its_author() {
    let server = Server::start().await;
    let (mut ada, mut grace) = two(&server).await;
    let room = ada.general();
    let id = message_id();
    ada.send(&page::send(id, room, "  Good morning,\r\nall 🌉 \n"))
        .await;
    let (seq, at) = ada.sent(id).await;
    for page in [&mut ada, &mut grace] {
        let message = page.message(room).await;
        assert_eq!((message.id, message.seq, message.at), (id, seq, at));
        assert_eq!(page::text_of(&message), "  Good morning,\nall 🌉");
        assert_eq!(message.author.name.as_str(), "Ada");
    }
    assert_eq!(seq, 1);
}

#[tokio::test]
async fn a_repeated_send_is_answered_with_its_first_result_and_told_to_nobody() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut first = ada.page().await;
    let mut grace = Person::join(&server, "Grace").await.page().await;
    let room = first.general();
    let id = message_id();
    first.send(&page::send(id, room, "once")).await;
    let committed = first.sent(id).await;
    // Again on the same connection, and after a reload that lost the answer.
    first.send(&page::send(id, room, "once")).await;
    assert_eq!(first.sent(id).await, committed);
    let mut second = ada.page().await;
    second.send(&page::send(id, room, "once")).await;
    assert_eq!(second.sent(id).await, committed);
    second.say(room, "and no more").await;
    let heard = [grace.message(room).await, grace.message(room).await];
    assert_eq!(heard.map(|message| message.seq), [1, 2]);
}

#[tokio::test]
async fn what_one_person_writes_stays_in_order_however_fast() {
    let server = Server::start().await;
    let (mut ada, mut grace) = two(&server).await;
    let room = ada.general();
    let ids: Vec<_> = (0..50).map(|_| message_id()).collect();
    for id in &ids {
        ada.send(&page::send(*id, room, "quick")).await;
    }
    for (id, seq) in ids.into_iter().zip(1..) {
        assert_eq!(ada.sent(id).await.0, seq);
        let message = grace.message(room).await;
        assert_eq!((message.id, message.seq), (id, seq));
    }
}

async fn read(page: &mut Page) -> (Seq, i64) {
    page.until(|frame| match frame {
        ServerFrame::Read { seq, unread, .. } => Some((*seq, *unread)),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn what_is_read_on_one_page_is_read_on_all_and_never_becomes_unread_again() {
    let server = Server::start().await;
    let mut ada = Person::join(&server, "Ada").await.page().await;
    let grace = Person::join(&server, "Grace").await;
    let (mut one, mut two) = (grace.page().await, grace.page().await);
    let room = ada.general();
    for text in ["one", "two", "three"] {
        ada.say(room, text).await;
    }
    // Up to where, and what that leaves: forward, back, on, past the end.
    for (upto, told) in [(2, (2, 1)), (1, (2, 1)), (3, (3, 0)), (99, (3, 0))] {
        one.send(&ClientFrame::Read { room, seq: upto }).await;
        assert_eq!(read(&mut one).await, told, "up to {upto}");
        assert_eq!(read(&mut two).await, told, "up to {upto}");
    }
    ada.say(room, "four").await;
    one.say(room, "my own words are not news to me").await;
    let fresh = grace.page().await;
    let summary = fresh.room("general");
    assert_eq!((summary.head, summary.read, summary.unread), (5, 3, 1));

    // Whoever is shown the room by the server has read it.
    grace.html("/chat/general").await;
    assert_eq!(read(&mut two).await, (5, 0));
    let heard = ada.all_so_far().await;
    assert!(
        !heard
            .iter()
            .any(|frame| matches!(frame, ServerFrame::Read { .. })),
        "it is nobody else's business"
    );
}

#[tokio::test]
async fn typing_is_shown_to_the_others() {
    let server = Server::start().await;
    let (mut ada, mut grace) = two(&server).await;
    let room = ada.general();
    ada.send(&ClientFrame::Typing { room }).await;
    let who = grace
        .until(|frame| match frame {
            ServerFrame::Typing {
                room: which,
                person,
            } if *which == room => Some(person.clone()),
            _ => None,
        })
        .await;
    assert_eq!(who, *ada.me());
    let heard = ada.all_so_far().await;
    assert!(
        !heard
            .iter()
            .any(|frame| matches!(frame, ServerFrame::Typing { .. })),
        "and not to oneself"
    );
}

#[tokio::test]
async fn somebody_is_here_with_one_visible_page_away_with_hidden_ones_and_gone_without() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut grace = Person::join(&server, "Grace").await.page().await;
    let (mut one, mut two) = (ada.page().await, ada.page().await);
    let who = one.me().clone();
    assert_eq!(grace.presence_of(&who).await, Presence::Here);
    one.send(&ClientFrame::Visibility { visible: false }).await;
    one.all_so_far().await;
    two.send(&ClientFrame::Visibility { visible: false }).await;
    assert_eq!(
        grace.presence_of(&who).await,
        Presence::Away,
        "only when the second page is hidden too"
    );
    two.send(&ClientFrame::Visibility { visible: true }).await;
    assert_eq!(grace.presence_of(&who).await, Presence::Here);
    let late = Person::join(&server, "Late").await.page().await;
    let here = late
        .welcome()
        .people
        .iter()
        .find(|present| present.person == who);
    assert_eq!(here.map(|present| present.presence), Some(Presence::Here));
    two.leave().await;
    assert_eq!(
        grace.presence_of(&who).await,
        Presence::Away,
        "the page that is left is hidden"
    );
    one.leave().await;
    assert_eq!(grace.presence_of(&who).await, Presence::Gone);
    let later = Person::join(&server, "Later").await.page().await;
    assert!(
        later
            .welcome()
            .people
            .iter()
            .all(|present| present.person != who)
    );
}

#[tokio::test]
async fn a_page_that_reloads_is_not_seen_to_leave() {
    let server = Server::start().await;
    let (ada, alan) = (
        Person::join(&server, "Ada").await,
        Person::join(&server, "Alan").await,
    );
    let mut grace = Person::join(&server, "Grace").await.page().await;
    let (ada_page, alan_page) = (ada.page().await, alan.page().await);
    let (ada_is, alan_is) = (ada_page.me().clone(), alan_page.me().clone());
    grace.presence_of(&alan_is).await;
    ada_page.leave().await;
    let _reloaded = ada.page().await;
    alan_page.leave().await;
    // Alan left later, so whoever is told of him would have been told of Ada before.
    let told = grace
        .until(|frame| match frame {
            ServerFrame::Presence { present } => Some(present.clone()),
            _ => None,
        })
        .await;
    assert_eq!(
        (told.person, told.presence),
        (alan_is, Presence::Gone),
        "nothing of {}",
        ada_is.name
    );
}

async fn new_room(page: &mut Page) -> RoomSummary {
    page.until(|frame| match frame {
        ServerFrame::Room { room } => Some(room.clone()),
        _ => None,
    })
    .await
}

fn location(answer: &reqwest::Response) -> &str {
    answer.headers()["location"].to_str().unwrap()
}

#[tokio::test]
async fn a_room_that_an_administrator_makes_appears_on_every_open_page() {
    let server = Server::start().await;
    let admin = server.administrator().await;
    let (mut ada, mut grace) = two(&server).await;
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
    let request = guest
        .http
        .post(guest.url("/fn/create-room"))
        .header("accept", "text/html");
    let request = request.header("referer", guest.url("/chat")).form(&form);
    let refused = within("the form", request.send()).await.unwrap();
    let back = location(&refused).to_owned();
    let path = back
        .strip_prefix(&guest.url(""))
        .unwrap_or(&back)
        .to_owned();
    assert!(path.starts_with("/chat?"), "{back}");
    let shown = admin.html(&path).await;
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

#[tokio::test]
async fn a_message_can_be_posted_with_a_plain_form_and_is_live_all_the_same() {
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut grace = Person::join(&server, "Grace").await.page().await;
    let html = ada.html("/chat/general").await;
    let field = |name: &str| hidden_field(&html, name);
    let (id, room) = (field("id"), field("room"));
    let form = [
        ("id", id.as_str()),
        ("room", room.as_str()),
        ("slug", "general"),
        ("text", "by hand"),
    ];
    // Sent twice, as an impatient finger does.
    for _ in 0..2 {
        let posted = ada.post("/fn/post", &form).await;
        assert_eq!(location(&posted), "/chat/general#latest");
    }
    let message = grace.hears("by hand").await;
    assert_eq!((message.seq, message.id.to_string()), (1, id));
    let general = grace.general();
    grace.say(general, "seen").await;
    assert_eq!(grace.hears("seen").await.seq, 2, "it was posted once");
    let html = ada.html("/chat/general").await;
    assert!(html.contains("by hand") && html.contains("seen"));
    assert_ne!(
        hidden_field(&html, "id"),
        message.id.to_string(),
        "the next form has an id of its own"
    );

    let empty = [
        ("id", &*message_id().to_string()),
        ("room", &room),
        ("slug", "general"),
        ("text", "   "),
    ];
    let refused = ada.post("/fn/post", &empty).await;
    assert!(
        !location(&refused).starts_with("/chat/general#"),
        "{}",
        location(&refused)
    );
}

/// The value of a hidden field of a page's form.
fn hidden_field(html: &str, name: &str) -> String {
    let tag = html
        .split("<input")
        .skip(1)
        .filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag))
        .find(|tag| tag.contains("type=\"hidden\"") && tag.contains(&format!("name=\"{name}\"")));
    let tag = tag.unwrap_or_else(|| panic!("no hidden field {name}"));
    tag.split_once("value=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .expect("a value")
        .0
        .to_owned()
}

#[tokio::test]
async fn history_is_read_page_by_page_without_a_gap_or_a_double() {
    const MESSAGES: Seq = 120;
    let server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let room = page.general();
    for n in 1..=MESSAGES {
        page.say(room, &format!("message {n}.")).await;
    }
    let mut before = None;
    let mut all: Vec<Seq> = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let mut arguments = vec![("slug", "general".to_owned())];
        arguments.extend(before.map(|before: Seq| ("before", before.to_string())));
        let page: RoomPage = ada.ask("/fn/room", &arguments).await;
        assert_eq!((page.newest, page.room.head), (before.is_none(), MESSAGES));
        sizes.push(page.messages.len());
        let seqs: Vec<Seq> = page.messages.iter().map(|message| message.seq).collect();
        before = seqs.first().copied();
        all.splice(0..0, seqs);
        if !page.has_older {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 20]);
    assert!(all.into_iter().eq(1..=MESSAGES));

    // The same with links alone.
    let newest = ada.html("/chat/general").await;
    assert!(
        newest.contains("message 120.")
            && newest.contains("message 71.")
            && !newest.contains("message 70.")
    );
    assert!(
        newest.contains("/chat/general?before=71"),
        "a link to what is older"
    );
    let older = ada.html("/chat/general?before=71").await;
    assert!(
        older.contains("message 70.")
            && older.contains("message 21.")
            && !older.contains("message 71.")
    );
    let oldest = ada.html("/chat/general?before=21").await;
    assert!(oldest.contains("message 1.") && !oldest.contains("?before=1\""));
}

#[tokio::test]
async fn what_people_write_and_are_called_is_shown_as_text() {
    let server = Server::start().await;
    let mallory = Person::join(&server, "<b>Mallory</b>").await;
    let mut page = mallory.page().await;
    let room = page.general();
    page.say(
        room,
        "<script>alert(1)</script> javascript:alert(2) https://example.org/?a=1&b=2",
    )
    .await;
    let html = mallory.html("/chat/general").await;
    assert!(!html.contains("<script>alert(1)") && !html.contains("<b>Mallory"));
    assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
    assert!(
        html.contains("href=\"https://example.org/?a=1&amp;b=2\""),
        "a web address is a link"
    );
    assert!(!html.contains("href=\"javascript"));
}

#[tokio::test]
async fn a_name_belongs_to_one_person_however_it_is_capitalised() {
    let server = Server::start().await;
    Person::join(&server, "Ada").await;
    let second = Person::nobody(&server, "ADA");
    let answer = second
        .post("/fn/pick-name", &[("name", " aDa "), ("next", "/chat")])
        .await;
    assert!(answer.headers().get("set-cookie").is_none(), "{answer:?}");
    let long = "a".repeat(41);
    for name in ["", "  ", "a\u{202E}b", long.as_str()] {
        let answer = second
            .post("/fn/pick-name", &[("name", name), ("next", "/chat")])
            .await;
        assert!(answer.headers().get("set-cookie").is_none(), "{name:?}");
    }
    let stray = second
        .post(
            "/fn/pick-name",
            &[
                ("name", "Ada the second"),
                ("next", "https://evil.example/"),
            ],
        )
        .await;
    assert_eq!(location(&stray), "/", "nobody is sent to another site");
}

#[tokio::test]
async fn the_server_says_what_it_allows_and_which_build_it_is() {
    let server = Server::start_with(|command| {
        command
            .env("RIALTO_UPLOAD_BYTES", "12345")
            .env("RIALTO_HEARTBEAT_SECONDS", "7");
    })
    .await;
    let ada = Person::join(&server, "Ada").await;
    let page = ada.page_with(Greeting::default()).await;
    let welcome = page.welcome();
    assert_eq!(
        (welcome.limits.upload_bytes, welcome.heartbeat),
        (12_345, 7_000)
    );
    assert_eq!(welcome.user.name.as_str(), "Ada");
    let html = ada.html("/").await;
    assert!(
        !welcome.build.is_empty() && html.contains(&welcome.build),
        "every page says the same build"
    );
}
