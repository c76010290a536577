//! Messages, as the people in a room meet them.

use crate::support::{Page, Person, Server, message_id, page, person::location};
use rialto::{
    chat::api::RoomPage,
    model::Seq,
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
