//! A live connection continues from its cursor, or is told that it cannot.

use crate::support::{
    Browser, HelloFrame, Publisher, Server, SseClient, SseItem, WsClient, message_id, ws_client,
};
use rialto::{
    model::{Cursor, Epoch, RoomId, Seq, limits, room::RoomSummary},
    protocol::{
        sse::{self, Resync},
        ws::{ClientFrame, RoomCursor, ServerFrame},
    },
};

/// Ada's connection, and Grace's browser.
struct ResumeFixture {
    _server: Server,
    ada: WsClient,
    grace: Browser,
    /// Before the first message.
    room: RoomSummary,
}

impl ResumeFixture {
    async fn with_messages(count: Seq) -> Self {
        let server = Server::start_with(|command| {
            command.env("RIALTO_LIMITS", "messages=100000,frames=100000");
        })
        .await;
        let (ada, grace) = (
            Browser::join(&server, "Ada").await,
            Browser::join(&server, "Grace").await,
        );
        let mut ada = ada.connect().await;
        let room = ada.room("general").clone();
        let mut last = None;
        for n in 1..=count {
            let id = message_id();
            ada.send(&ws_client::message_frame(
                id,
                room.id,
                &format!("message {n}"),
            ))
            .await;
            last = Some(id);
        }
        if let Some(last) = last {
            assert_eq!(ada.wait_for_ack(last).await.0, count);
        }
        Self {
            _server: server,
            ada,
            grace,
            room,
        }
    }

    fn cursor_at(&self, seq: Seq) -> Cursor {
        Cursor {
            epoch: self.room.epoch.clone(),
            seq,
        }
    }

    /// Connects Grace.
    async fn connect_at(&self, cursor: Cursor) -> WsClient {
        self.grace
            .connect_with(HelloFrame::with_cursor(self.room.id, cursor))
            .await
    }
}

/// Whether it was recovered, the head, and the replayed sequences.
async fn resume_result(ws: &mut WsClient, room: RoomId) -> (bool, Seq, Vec<Seq>) {
    let (recovered, head) = ws
        .wait_for(|frame| match frame {
            ServerFrame::Resumed {
                room: which,
                recovered,
                head,
                ..
            } if *which == room => Some((*recovered, *head)),
            _ => None,
        })
        .await;
    let followed = ws.frames_until_pong().await;
    (
        recovered,
        head,
        followed
            .iter()
            .filter_map(ws_client::as_message)
            .map(|message| message.seq)
            .collect(),
    )
}

#[tokio::test]
async fn a_client_that_reconnects_gets_exactly_what_it_missed() {
    let fixture = ResumeFixture::with_messages(12).await;
    for seen in [0, 7, 11, 12] {
        let mut ws = fixture.connect_at(fixture.cursor_at(seen)).await;
        let missed: Vec<Seq> = (seen + 1..=12).collect();
        assert_eq!(
            resume_result(&mut ws, fixture.room.id).await,
            (true, 12, missed)
        );
    }
}

#[tokio::test]
async fn a_hello_is_answered_in_the_order_that_is_documented() {
    let fixture = ResumeFixture::with_messages(2).await;
    let room = fixture.room.id;
    let mut ws = WsClient::open_socket(&fixture.grace).await;
    let cursors = [1, 7, 0].map(|seq| RoomCursor {
        room,
        cursor: fixture.cursor_at(seq),
    });
    ws.send_hello(HelloFrame {
        cursors: cursors.into(),
        ..HelloFrame::default()
    })
    .await;
    let mut received = Vec::new();
    for _ in 0..8 {
        received.push(match ws.next_frame().await.expect("a frame") {
            ServerFrame::Welcome { .. } => "welcome".to_owned(),
            ServerFrame::People { .. } => "people".to_owned(),
            ServerFrame::Resumed { recovered, .. } => format!("resumed {recovered}"),
            ServerFrame::Event { seq, .. } => format!("event {seq}"),
            other => panic!("{other:?}"),
        });
    }
    let order = [
        "welcome",
        "people",
        "resumed true",
        "event 2",
        "resumed false",
        "resumed true",
        "event 1",
        "event 2",
    ];
    assert_eq!(received, order);
}

#[tokio::test]
async fn a_cursor_that_says_nothing_about_this_log_is_not_recovered() {
    let mut fixture = ResumeFixture::with_messages(3).await;
    let room = fixture.room.id;
    let elsewhere = Cursor {
        epoch: Epoch("0123456789abcdef".into()),
        seq: 2,
    };
    for cursor in [
        elsewhere,
        fixture.cursor_at(4),
        fixture.cursor_at(-1),
        fixture.cursor_at(Seq::MAX),
        fixture.cursor_at(Seq::MIN),
    ] {
        let mut ws = fixture.connect_at(cursor.clone()).await;
        assert_eq!(
            resume_result(&mut ws, room).await,
            (false, 3, vec![]),
            "{cursor:?}"
        );
    }

    // New messages arrive all the same, and a valid cursor is accepted on the same connection.
    let mut ws = fixture.connect_at(fixture.cursor_at(77)).await;
    fixture.ada.send_message(room, "news").await;
    assert_eq!(ws.next_message(room).await.seq, 4);
    let cursor = fixture.cursor_at(2);
    ws.send(&ClientFrame::Resume {
        cursor: RoomCursor { room, cursor },
    })
    .await;
    assert_eq!(resume_result(&mut ws, room).await, (true, 4, vec![3, 4]));
}

#[tokio::test]
async fn a_client_that_missed_more_than_is_replayed_is_told_to_refetch_the_room() {
    let most = limits::MAX_REPLAY_EVENTS;
    let fixture = ResumeFixture::with_messages(most + 1).await;
    let room = fixture.room.id;
    let mut ws = fixture.connect_at(fixture.cursor_at(0)).await;
    assert_eq!(
        resume_result(&mut ws, room).await,
        (false, most + 1, vec![])
    );
    let mut ws = fixture.connect_at(fixture.cursor_at(1)).await;
    let (recovered, head, missed) = resume_result(&mut ws, room).await;
    assert!(recovered && head == most + 1);
    assert!(
        missed.into_iter().eq(2..=most + 1),
        "every missed message, in order"
    );
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_clients_reconnect_while_others_write() {
    const MESSAGES: Seq = 150;
    let mut fixture = ResumeFixture::with_messages(0).await;
    let room = fixture.room.id;
    let (grace, epoch) = (fixture.grace.clone(), fixture.room.epoch.clone());
    // Reconnects until it has received each message once.
    let reconnecting = tokio::spawn(async move {
        let mut seq = 0;
        let mut connections = 0;
        while seq < MESSAGES {
            let cursor = Cursor {
                epoch: epoch.clone(),
                seq,
            };
            let mut ws = grace
                .connect_with(HelloFrame::with_cursor(room, cursor))
                .await;
            connections += 1;
            for _ in 0..3 {
                if seq < MESSAGES {
                    assert_eq!(ws.next_message(room).await.seq, seq + 1);
                    seq += 1;
                }
            }
            ws.close().await;
        }
        connections
    });
    for n in 1..=MESSAGES {
        fixture
            .ada
            .send_message(room, &format!("message {n}"))
            .await;
    }
    let connections = reconnecting.await.unwrap();
    println!("{MESSAGES} messages over {connections} connections");
    assert!(connections > 10);
}

/// Sequences 1 to `stories`. Returns the publisher and the stream's epoch.
async fn publish_stories(server: &Server, stories: Seq) -> (Publisher, Epoch) {
    let publisher = Publisher::create(server).await;
    let epoch = SseClient::open(server).await.wait_for_hello().await.epoch;
    for n in 1..=stories {
        assert_eq!(publisher.publish(&format!("Story {n}")).await.seq, n);
    }
    (publisher, epoch)
}

/// Publishes a last story and returns the sequences received before it.
async fn replayed_seqs(reader: &mut SseClient, publisher: &Publisher) -> Vec<Seq> {
    let last = publisher.publish("The last").await.seq;
    let mut seqs = Vec::new();
    while seqs.last() != Some(&last) {
        seqs.push(reader.next_story().await.seq);
    }
    seqs.pop();
    seqs
}

#[tokio::test]
async fn a_reader_of_the_news_goes_on_after_what_it_has_seen() {
    let server = Server::start().await;
    let (publisher, epoch) = publish_stories(&server, 6).await;
    let epoch = epoch.0;

    let mut new = SseClient::open(&server).await;
    let hello = new.wait_for_hello().await;
    assert!((hello.head, hello.recovered) == (6, true), "{hello:?}");
    assert_eq!(
        replayed_seqs(&mut new, &publisher).await,
        [] as [Seq; 0],
        "no replay without a cursor"
    );

    let mut by_header = SseClient::open_with(&server, "", Some("4")).await;
    assert!(by_header.wait_for_hello().await.recovered);
    assert_eq!(replayed_seqs(&mut by_header, &publisher).await, [5, 6, 7]);

    let mut by_address =
        SseClient::open_with(&server, &format!("?after=5&epoch={epoch}"), None).await;
    assert!(by_address.wait_for_hello().await.recovered);
    assert_eq!(replayed_seqs(&mut by_address, &publisher).await, [6, 7, 8]);

    // A browser that reconnects by itself repeats the original query: `Last-Event-ID` wins.
    let mut both =
        SseClient::open_with(&server, &format!("?after=1&epoch={epoch}"), Some("8")).await;
    assert!(both.wait_for_hello().await.recovered);
    assert_eq!(replayed_seqs(&mut both, &publisher).await, [9]);
}

#[tokio::test]
async fn a_cursor_that_the_news_cannot_go_on_from_is_answered_with_resync_and_the_end() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_REPLAY_EVENTS", "5");
    })
    .await;
    let (_press, epoch) = publish_stories(&server, 8).await;
    for (query, last_event_id) in [
        ("?after=8&epoch=0123456789abcdef", None),
        ("?after=9", None),
        ("?after=2", None),
        ("", Some("99")),
        ("", Some("0123456789abcdef:8")),
        ("?epoch=0123456789abcdef", Some("8")),
    ] {
        let mut reader = SseClient::open_with(&server, query, last_event_id).await;
        let hello = reader.wait_for_hello().await;
        assert!(
            !hello.recovered && hello.epoch == epoch,
            "{query} {last_event_id:?}: {hello:?}"
        );
        let rest = reader.read_to_end().await;
        let [SseItem::Event(resync)] = rest.as_slice() else {
            panic!("{query} {last_event_id:?}: {rest:?}")
        };
        assert_eq!(resync.name, sse::RESYNC_EVENT);
        assert_eq!(
            resync.json::<Resync>(),
            Resync {
                epoch: epoch.clone(),
                head: 8
            }
        );
    }
    let mut reader = SseClient::open_with(&server, "?after=3", None).await;
    assert!(
        reader.wait_for_hello().await.recovered,
        "exactly the number of events that may be replayed"
    );
    for seq in 4..=8 {
        assert_eq!(reader.next_story().await.seq, seq);
    }
}

#[tokio::test]
async fn a_reader_of_one_topic_gets_no_other() {
    let server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    publisher.publish_in_topic("Sport", "Regatta today").await;
    publisher.publish_in_topic("Weather", "High water").await;
    publisher.publish_in_topic("Sport", "Regatta won").await;
    let mut reader = SseClient::open_with(&server, "?topic=Sport&after=0", None).await;
    publisher.publish_in_topic("Weather", "Low water").await;
    publisher.publish_in_topic("Sport", "Regatta over").await;
    for headline in ["Regatta today", "Regatta won", "Regatta over"] {
        assert_eq!(reader.next_story().await.headline, headline);
    }
}

#[tokio::test]
async fn a_reader_of_one_topic_is_not_told_to_resync_because_of_the_others() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_REPLAY_EVENTS", "2");
    })
    .await;
    let publisher = Publisher::create(&server).await;
    for n in 1..=5 {
        publisher
            .publish_in_topic("Weather", &format!("Tide {n}"))
            .await;
    }
    publisher.publish_in_topic("Sport", "Regatta today").await;
    let mut reader = SseClient::open_with(&server, "?topic=Sport&after=0", None).await;
    assert!(reader.wait_for_hello().await.recovered);
    assert_eq!(reader.next_story().await.headline, "Regatta today");
    let mut others = SseClient::open_with(&server, "?topic=Weather&after=0", None).await;
    assert!(
        !others.wait_for_hello().await.recovered,
        "five are too many"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let server = Server::start().await;
    let reader = Browser::anonymous(&server, "Reader");
    for query in [
        "?after=yesterday",
        "?after=-1",
        "?beat=often",
        "?after=1&after=2",
    ] {
        let response = reader.get(&format!("/news/events{query}")).await;
        assert_eq!(response.status(), 400, "{query}");
        let words = response.text().await.unwrap();
        assert!(words.contains("Usage: /news/events"), "{query}: {words}");
    }
    for id in ["yesterday", "-1"] {
        let request = reader.http.get(reader.url("/news/events"));
        let response = request.header("last-event-id", id).send().await.unwrap();
        assert_eq!(response.status(), 400, "{id}");
        let words = response.text().await.unwrap();
        assert!(words.contains("Last-Event-ID"), "{id}: {words}");
    }
}

/// As a browser's `EventSource` that a page has only told what to show: it repeats its address and the last id.
#[tokio::test]
async fn a_plain_event_source_loses_nothing_and_notices_a_restored_store() {
    let server = Server::start().await;
    let (publisher, _) = publish_stories(&server, 2).await;
    let mut reader = SseClient::open(&server).await;
    reader.wait_for_hello().await;
    let before_any_story = reader.last_event_id().to_owned();
    publisher.publish("Story 3").await;
    assert_eq!(reader.next_story().await.seq, 3);
    let after_a_story = reader.last_event_id().to_owned();
    publisher.publish("Story 4").await;
    for (id, missed) in [(&before_any_story, vec![3, 4]), (&after_a_story, vec![4])] {
        let mut again = SseClient::open_with(&server, "", Some(id)).await;
        assert!(again.wait_for_hello().await.recovered);
        for seq in missed {
            assert_eq!(again.next_story().await.seq, seq, "after {id}");
        }
    }

    let restored = Server::start().await;
    publish_stories(&restored, 5).await;
    let mut again = SseClient::open_with(&restored, "", Some(&after_a_story)).await;
    let resync: Resync = again.next_event(sse::RESYNC_EVENT).await;
    assert_eq!(resync.head, 5);
    assert!(again.read_to_end().await.is_empty());
    let mut next = SseClient::open_with(&restored, "", Some(again.last_event_id())).await;
    assert!(next.wait_for_hello().await.recovered);
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_readers_come_while_stories_are_published() {
    const STORIES: Seq = 150;
    let server = Server::start().await;
    let (publisher, _) = publish_stories(&server, 1).await;
    let publishing = tokio::spawn(async move {
        for n in 2..=STORIES {
            assert_eq!(publisher.publish("Story").await.seq, n);
        }
    });
    // Half from the first story, half from the current head.
    let mut readers = Vec::new();
    while !publishing.is_finished() {
        let replayed = readers.len() % 2 == 0;
        let query = if replayed { "?after=0" } else { "" };
        let mut reader = SseClient::open_with(&server, query, None).await;
        readers.push(tokio::spawn(async move {
            let hello = reader.wait_for_hello().await;
            assert!(hello.recovered);
            let after = if replayed { 0 } else { hello.head };
            for seq in after + 1..=STORIES {
                assert_eq!(reader.next_story().await.seq, seq, "after {after}");
            }
        }));
    }
    publishing.await.unwrap();
    println!(
        "{STORIES} stories, {} readers connected meanwhile",
        readers.len()
    );
    assert!(readers.len() > 20);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn the_log_outlives_the_server() {
    let mut server = Server::start().await;
    let (publisher, epoch) = publish_stories(&server, 3).await;
    let mut reader = SseClient::open(&server).await;
    reader.wait_for_hello().await;
    server.restart().await;
    let rest = reader.read_to_end().await;
    let is_silent = rest.iter().all(|item| matches!(item, SseItem::Comment(_)));
    assert!(is_silent, "only comments before the end: {rest:?}");
    let mut resumed =
        SseClient::open_with(&server, &format!("?epoch={}", epoch.0), Some("1")).await;
    let hello = resumed.wait_for_hello().await;
    assert!(hello.recovered && hello.epoch == epoch);
    assert_eq!(replayed_seqs(&mut resumed, &publisher).await, [2, 3]);
}
