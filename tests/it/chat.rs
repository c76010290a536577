//! Chat messages as the members of a room see them.

use crate::support::{Browser, Server, WsClient, browser::location, message_id, ws_client};
use rialto::{
    chat::api::RoomHistory,
    model::Seq,
    protocol::ws::{ClientFrame, ServerFrame},
};

async fn two_clients(server: &Server) -> (WsClient, WsClient) {
    let (ada, grace) = (
        Browser::join(server, "Ada").await,
        Browser::join(server, "Grace").await,
    );
    (ada.connect().await, grace.connect().await)
}

#[tokio::test]
async fn a_message_is_sent_to_everybody_in_the_room_in_the_words_of_its_author() {
    let server = Server::start().await;
    let (mut ada, mut grace) = two_clients(&server).await;
    let room = ada.general();
    let id = message_id();
    ada.send(&ws_client::message_frame(
        id,
        room,
        "  Good morning,\r\nall 🌉 \n",
    ))
    .await;
    let (seq, at) = ada.wait_for_ack(id).await;
    for ws in [&mut ada, &mut grace] {
        let message = ws.next_message(room).await;
        assert_eq!((message.id, message.seq, message.at), (id, seq, at));
        assert_eq!(ws_client::text_of(&message), "  Good morning,\nall 🌉");
        assert_eq!(message.author.name.as_str(), "Ada");
    }
    assert_eq!(seq, 1);
}

#[tokio::test]
async fn a_repeated_send_is_answered_with_its_first_result_and_broadcast_to_nobody() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut first = ada.connect().await;
    let mut grace = Browser::join(&server, "Grace").await.connect().await;
    let room = first.general();
    let id = message_id();
    first
        .send(&ws_client::message_frame(id, room, "once"))
        .await;
    let committed = first.wait_for_ack(id).await;
    // On the same connection, and after a reload that lost the acknowledgement.
    first
        .send(&ws_client::message_frame(id, room, "once"))
        .await;
    assert_eq!(first.wait_for_ack(id).await, committed);
    let mut second = ada.connect().await;
    second
        .send(&ws_client::message_frame(id, room, "once"))
        .await;
    assert_eq!(second.wait_for_ack(id).await, committed);
    second.send_message(room, "and no more").await;
    let received = [
        grace.next_message(room).await,
        grace.next_message(room).await,
    ];
    assert_eq!(received.map(|message| message.seq), [1, 2]);
}

#[tokio::test]
async fn what_one_person_writes_stays_in_order_however_fast() {
    let server = Server::start().await;
    let (mut ada, mut grace) = two_clients(&server).await;
    let room = ada.general();
    let ids: Vec<_> = (0..50).map(|_| message_id()).collect();
    for id in &ids {
        ada.send(&ws_client::message_frame(*id, room, "quick"))
            .await;
    }
    for (id, seq) in ids.into_iter().zip(1..) {
        assert_eq!(ada.wait_for_ack(id).await.0, seq);
        let message = grace.next_message(room).await;
        assert_eq!((message.id, message.seq), (id, seq));
    }
}

async fn next_read(ws: &mut WsClient) -> (Seq, i64) {
    ws.wait_for(|frame| match frame {
        ServerFrame::Read { seq, unread, .. } => Some((*seq, *unread)),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn what_is_read_on_one_client_is_read_on_all_and_never_becomes_unread_again() {
    let server = Server::start().await;
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    let grace = Browser::join(&server, "Grace").await;
    let (mut first_ws, mut second_ws) = (grace.connect().await, grace.connect().await);
    let room = ada.general();
    for text in ["one", "two", "three"] {
        ada.send_message(room, text).await;
    }
    // The `read` sent, then position and unread count: forward, backward, to the end, past the end.
    for (upto, expected) in [(2, (2, 1)), (1, (2, 1)), (3, (3, 0)), (99, (3, 0))] {
        first_ws.send(&ClientFrame::Read { room, seq: upto }).await;
        assert_eq!(next_read(&mut first_ws).await, expected, "up to {upto}");
        assert_eq!(next_read(&mut second_ws).await, expected, "up to {upto}");
    }
    ada.send_message(room, "four").await;
    first_ws
        .send_message(room, "own messages are not unread")
        .await;
    let fresh = grace.connect().await;
    let summary = fresh.room("general");
    assert_eq!((summary.head, summary.read_seq, summary.unread), (5, 3, 1));

    // Fetching the room leaves it unread, and rendering it marks it as read.
    let page: RoomHistory = grace
        .call_server_fn("/fn/room", &[("slug", "general")])
        .await;
    assert!(page.is_newest);
    let summary = grace.connect().await.room("general").clone();
    assert_eq!((summary.read_seq, summary.unread), (3, 1));
    grace.html("/chat/general").await;
    assert_eq!(next_read(&mut second_ws).await, (5, 0));
    let received = ada.frames_until_pong().await;
    assert!(
        !received
            .iter()
            .any(|frame| matches!(frame, ServerFrame::Read { .. })),
        "read positions are private"
    );
}

#[tokio::test]
async fn typing_is_shown_to_the_others() {
    let server = Server::start().await;
    let (mut ada, mut grace) = two_clients(&server).await;
    let room = ada.general();
    ada.send(&ClientFrame::Typing { room }).await;
    let who = grace
        .wait_for(|frame| match frame {
            ServerFrame::Typing {
                room: which,
                person,
            } if *which == room => Some(person.clone()),
            _ => None,
        })
        .await;
    assert_eq!(who, *ada.me());
    let received = ada.frames_until_pong().await;
    assert!(
        !received
            .iter()
            .any(|frame| matches!(frame, ServerFrame::Typing { .. })),
        "not to the author"
    );
}

#[tokio::test]
async fn a_message_can_be_posted_with_a_plain_form_and_is_live_all_the_same() {
    let server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut grace = Browser::join(&server, "Grace").await.connect().await;
    let html = ada.html("/chat/general").await;
    let field = |name: &str| hidden_field(&html, name);
    let (id, room) = (field("id"), field("room"));
    let form = [
        ("id", id.as_str()),
        ("room", room.as_str()),
        ("slug", "general"),
        ("text", "by hand"),
    ];
    // As by a double click.
    for _ in 0..2 {
        let posted = ada.post("/fn/post", &form).await;
        assert_eq!(location(&posted), "/chat/general#latest");
    }
    let message = grace.wait_for_text("by hand").await;
    assert_eq!((message.seq, message.id.to_string()), (1, id));
    let general = grace.general();
    grace.send_message(general, "seen").await;
    assert_eq!(grace.wait_for_text("seen").await.seq, 2, "posted once");
    let html = ada.html("/chat/general").await;
    assert!(html.contains("by hand") && html.contains("seen"));
    assert_ne!(
        hidden_field(&html, "id"),
        message.id.to_string(),
        "the next form has a new id"
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
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let room = ws.general();
    for n in 1..=MESSAGES {
        ws.send_message(room, &format!("message {n}.")).await;
    }
    let mut before = None;
    let mut all: Vec<Seq> = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let mut arguments = vec![("slug", "general".to_owned())];
        arguments.extend(before.map(|before: Seq| ("before", before.to_string())));
        let page: RoomHistory = ada.call_server_fn("/fn/room", &arguments).await;
        assert_eq!(
            (page.is_newest, page.room.head),
            (before.is_none(), MESSAGES)
        );
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

    // With plain links.
    let newest = ada.html("/chat/general").await;
    assert!(
        newest.contains("message 120.")
            && newest.contains("message 71.")
            && !newest.contains("message 70.")
    );
    assert!(
        newest.contains("/chat/general?before=71"),
        "a link to older messages"
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
async fn a_program_reads_the_history_by_get_without_marking_it_as_read() {
    let server = Server::start().await;
    let reader = Browser::join(&server, "Reader").await;
    let mut open_page = reader.connect().await;
    let mut ada = Browser::join(&server, "Ada").await.connect().await;
    let room = ada.general();
    for n in 1..=60 {
        ada.send_message(room, &format!("message {n}")).await;
    }
    let read = async |path: &str| {
        let response = reader.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json::<RoomHistory>().await.unwrap()
    };
    let newest = read("/fn/history?slug=general").await;
    assert!(newest.is_newest && newest.has_older);
    let seqs: Vec<Seq> = newest.messages.iter().map(|message| message.seq).collect();
    assert!(seqs.iter().copied().eq(11..=60));
    let older = read("/fn/history?slug=general&before=11").await;
    assert!(!older.is_newest && !older.has_older);
    assert_eq!((older.messages.len(), older.messages[9].seq), (10, 10));

    let again = read("/fn/history?slug=general").await;
    assert_eq!((again.room.read_seq, again.room.unread), (0, 60));
    let received = open_page.frames_until_pong().await;
    let is_read = |frame: &ServerFrame| matches!(frame, ServerFrame::Read { .. });
    assert!(!received.iter().any(is_read), "{received:?}");
    let missing = reader.get("/fn/history?slug=nowhere").await;
    assert_eq!(missing.status(), 404);
    let anonymous = Browser::anonymous(&server, "Nobody");
    let refused = anonymous.get("/fn/history?slug=general").await;
    assert_eq!(refused.status(), 401);
}

#[tokio::test]
async fn what_people_write_and_are_called_is_shown_as_text() {
    let server = Server::start().await;
    let mallory = Browser::join(&server, "<b>Mallory</b>").await;
    let mut ws = mallory.connect().await;
    let room = ws.general();
    ws.send_message(
        room,
        "<script>alert(1)</script> javascript:alert(2) https://example.org/?a=1&b=2",
    )
    .await;
    let html = mallory.html("/chat/general").await;
    assert!(!html.contains("<script>alert(1)") && !html.contains("<b>Mallory"));
    assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
    assert!(
        html.contains("href=\"https://example.org/?a=1&amp;b=2\""),
        "URLs become links"
    );
    assert!(!html.contains("href=\"javascript"));
}
