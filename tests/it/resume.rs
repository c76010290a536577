//! Resume, do not reload: every live connection goes on from its cursor, or is told plainly that it cannot.

use crate::support::{Greeting, News, Page, Person, Piece, Press, Server, message_id, page};
use rialto::{
    model::{Cursor, Epoch, RoomId, Seq, limits, room::RoomSummary},
    protocol::{
        sse::{self, Resync},
        ws::{ClientFrame, RoomCursor, ServerFrame},
    },
};

/// Ada writes in a room.
struct Scene {
    _server: Server,
    ada: Page,
    grace: Person,
    /// As it was before the first message.
    room: RoomSummary,
}

impl Scene {
    async fn with_messages(count: Seq) -> Self {
        let server = Server::start_with(|command| {
            command.env("RIALTO_SEND_BURST", "100000");
        })
        .await;
        let (ada, grace) = (
            Person::join(&server, "Ada").await,
            Person::join(&server, "Grace").await,
        );
        let mut ada = ada.page().await;
        let room = ada.room("general").clone();
        let mut last = None;
        for n in 1..=count {
            let id = message_id();
            ada.send(&page::send(id, room.id, &format!("message {n}")))
                .await;
            last = Some(id);
        }
        if let Some(last) = last {
            assert_eq!(ada.sent(last).await.0, count);
        }
        Self {
            _server: server,
            ada,
            grace,
            room,
        }
    }

    fn at(&self, seq: Seq) -> Cursor {
        Cursor {
            epoch: self.room.epoch.clone(),
            seq,
        }
    }

    /// Grace opens a page that holds the room up to here.
    async fn back_at(&self, cursor: Cursor) -> Page {
        self.grace
            .page_with(Greeting::from(self.room.id, cursor))
            .await
    }
}

/// What a cursor was answered: recovered or not, the head, and the sequences that followed.
async fn answer(page: &mut Page, room: RoomId) -> (bool, Seq, Vec<Seq>) {
    let (recovered, head) = page
        .until(|frame| match frame {
            ServerFrame::Resumed {
                room: which,
                recovered,
                head,
                ..
            } if *which == room => Some((*recovered, *head)),
            _ => None,
        })
        .await;
    let followed = page.all_so_far().await;
    (
        recovered,
        head,
        followed
            .iter()
            .filter_map(page::message)
            .map(|message| message.seq)
            .collect(),
    )
}

#[tokio::test]
async fn a_page_that_comes_back_gets_exactly_what_it_missed() {
    let scene = Scene::with_messages(12).await;
    for seen in [0, 7, 11, 12] {
        let mut page = scene.back_at(scene.at(seen)).await;
        let missed: Vec<Seq> = (seen + 1..=12).collect();
        assert_eq!(answer(&mut page, scene.room.id).await, (true, 12, missed));
    }
}

#[tokio::test]
async fn a_greeting_is_answered_in_the_order_that_is_documented() {
    let scene = Scene::with_messages(2).await;
    let room = scene.room.id;
    let mut page = Page::dial(&scene.grace).await;
    let cursors = [1, 7, 0].map(|seq| RoomCursor {
        room,
        cursor: scene.at(seq),
    });
    page.hello(Greeting {
        cursors: cursors.into(),
        ..Greeting::default()
    })
    .await;
    let mut heard = Vec::new();
    for _ in 0..8 {
        heard.push(match page.listen().await.expect("a frame") {
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
    assert_eq!(heard, order);
}

#[tokio::test]
async fn a_cursor_that_says_nothing_about_this_log_is_not_recovered() {
    let mut scene = Scene::with_messages(3).await;
    let room = scene.room.id;
    let elsewhere = Cursor {
        epoch: Epoch("0123456789abcdef".into()),
        seq: 2,
    };
    for cursor in [
        elsewhere,
        scene.at(4),
        scene.at(-1),
        scene.at(Seq::MAX),
        scene.at(Seq::MIN),
    ] {
        let mut page = scene.back_at(cursor.clone()).await;
        assert_eq!(
            answer(&mut page, room).await,
            (false, 3, vec![]),
            "{cursor:?}"
        );
    }

    // Not a dead end: what happens from now on is heard, and a better cursor is taken on the same connection.
    let mut page = scene.back_at(scene.at(77)).await;
    scene.ada.say(room, "news").await;
    assert_eq!(page.message(room).await.seq, 4);
    let cursor = scene.at(2);
    page.send(&ClientFrame::Resume {
        cursor: RoomCursor { room, cursor },
    })
    .await;
    assert_eq!(answer(&mut page, room).await, (true, 4, vec![3, 4]));
}

#[tokio::test]
async fn a_page_that_missed_more_than_is_replayed_is_told_to_fetch_the_room_anew() {
    let most = limits::REPLAY_EVENTS;
    let scene = Scene::with_messages(most + 1).await;
    let room = scene.room.id;
    let mut page = scene.back_at(scene.at(0)).await;
    assert_eq!(answer(&mut page, room).await, (false, most + 1, vec![]));
    let mut page = scene.back_at(scene.at(1)).await;
    let (recovered, head, missed) = answer(&mut page, room).await;
    assert!(recovered && head == most + 1);
    assert!(
        missed.into_iter().eq(2..=most + 1),
        "all that it missed, in order"
    );
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_pages_come_back_while_others_write() {
    const MESSAGES: Seq = 150;
    let mut scene = Scene::with_messages(0).await;
    let room = scene.room.id;
    let (grace, epoch) = (scene.grace.clone(), scene.room.epoch.clone());
    // One page comes and goes for as long as it takes, and hears each message once.
    let coming_and_going = tokio::spawn(async move {
        let mut seq = 0;
        let mut connections = 0;
        while seq < MESSAGES {
            let cursor = Cursor {
                epoch: epoch.clone(),
                seq,
            };
            let mut page = grace.page_with(Greeting::from(room, cursor)).await;
            connections += 1;
            for _ in 0..3 {
                if seq < MESSAGES {
                    assert_eq!(page.message(room).await.seq, seq + 1);
                    seq += 1;
                }
            }
            page.leave().await;
        }
        connections
    });
    for n in 1..=MESSAGES {
        scene.ada.say(room, &format!("message {n}")).await;
    }
    let connections = coming_and_going.await.unwrap();
    println!("{MESSAGES} messages over {connections} connections");
    assert!(connections > 10);
}

/// Stories up to a number, and where the stream then stands.
async fn press_with(server: &Server, stories: Seq) -> (Press, Epoch) {
    let press = Press::open(server).await;
    let epoch = News::open(server).await.hello().await.epoch;
    for n in 1..=stories {
        assert_eq!(press.publish(&format!("Story {n}")).await.seq, n);
    }
    (press, epoch)
}

/// The sequences of the stories that come, up to one that is published as the last.
async fn stories_until(reader: &mut News, press: &Press) -> Vec<Seq> {
    let last = press.publish("The last").await.seq;
    let mut seqs = Vec::new();
    while seqs.last() != Some(&last) {
        seqs.push(reader.story().await.seq);
    }
    seqs.pop();
    seqs
}

#[tokio::test]
async fn a_reader_of_the_news_goes_on_after_what_it_has_seen() {
    let server = Server::start().await;
    let (press, epoch) = press_with(&server, 6).await;
    let epoch = epoch.0;

    let mut new = News::open(&server).await;
    let hello = new.hello().await;
    assert!((hello.head, hello.recovered) == (6, true), "{hello:?}");
    assert_eq!(
        stories_until(&mut new, &press).await,
        [] as [Seq; 0],
        "nothing old without a cursor"
    );

    let mut by_header = News::open_at(&server, "", Some("4")).await;
    assert!(by_header.hello().await.recovered);
    assert_eq!(stories_until(&mut by_header, &press).await, [5, 6, 7]);

    let mut by_address = News::open_at(&server, &format!("?after=5&epoch={epoch}"), None).await;
    assert!(by_address.hello().await.recovered);
    assert_eq!(stories_until(&mut by_address, &press).await, [6, 7, 8]);

    // A browser that reconnects by itself still has the address it began with: what it has seen since counts.
    let mut both = News::open_at(&server, &format!("?after=1&epoch={epoch}"), Some("8")).await;
    assert!(both.hello().await.recovered);
    assert_eq!(stories_until(&mut both, &press).await, [9]);
}

#[tokio::test]
async fn a_cursor_that_the_news_cannot_go_on_from_is_answered_with_resync_and_the_end() {
    let server = Server::start_with(|command| {
        command.env("RIALTO_REPLAY_EVENTS", "5");
    })
    .await;
    let (_press, epoch) = press_with(&server, 8).await;
    for (query, last_event_id) in [
        ("?after=8&epoch=0123456789abcdef", None),
        ("?after=9", None),
        ("?after=-1", None),
        ("?after=2", None),
        ("", Some("99")),
        ("", Some("yesterday")),
        ("?epoch=0123456789abcdef", Some("8")),
    ] {
        let mut reader = News::open_at(&server, query, last_event_id).await;
        let hello = reader.hello().await;
        assert!(
            !hello.recovered && hello.epoch == epoch,
            "{query} {last_event_id:?}: {hello:?}"
        );
        let rest = reader.rest().await;
        let [Piece::Event(resync)] = rest.as_slice() else {
            panic!("{query} {last_event_id:?}: {rest:?}")
        };
        assert_eq!(resync.name, sse::RESYNC);
        assert_eq!(
            resync.json::<Resync>(),
            Resync {
                epoch: epoch.clone(),
                head: 8
            }
        );
    }
    let mut reader = News::open_at(&server, "?after=3", None).await;
    assert!(
        reader.hello().await.recovered,
        "just as much as is replayed"
    );
    for seq in 4..=8 {
        assert_eq!(reader.story().await.seq, seq);
    }
}

#[tokio::test]
async fn a_reader_of_one_topic_hears_of_no_other() {
    let server = Server::start().await;
    let press = Press::open(&server).await;
    press.publish_under("Sport", "Regatta today").await;
    press.publish_under("Weather", "High water").await;
    press.publish_under("Sport", "Regatta won").await;
    let mut reader = News::open_at(&server, "?topic=Sport&after=0", None).await;
    press.publish_under("Weather", "Low water").await;
    press.publish_under("Sport", "Regatta over").await;
    for headline in ["Regatta today", "Regatta won", "Regatta over"] {
        assert_eq!(reader.story().await.headline, headline);
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let server = Server::start().await;
    let reader = Person::nobody(&server, "Reader");
    for query in ["?after=yesterday", "?beat=often", "?after=1&after=2"] {
        let answer = reader.get(&format!("/news/events{query}")).await;
        assert_eq!(answer.status(), 400, "{query}");
        let words = answer.text().await.unwrap();
        assert!(words.contains("What can be asked"), "{query}: {words}");
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_readers_come_while_stories_are_published() {
    const STORIES: Seq = 150;
    let server = Server::start().await;
    let (press, _) = press_with(&server, 1).await;
    let publishing = tokio::spawn(async move {
        for n in 2..=STORIES {
            assert_eq!(press.publish("Story").await.seq, n);
        }
    });
    // One after the other they come, some from the beginning, some from where the stream stands.
    let mut readers = Vec::new();
    while !publishing.is_finished() {
        let replayed = readers.len() % 2 == 0;
        let query = if replayed { "?after=0" } else { "" };
        let mut reader = News::open_at(&server, query, None).await;
        readers.push(tokio::spawn(async move {
            let hello = reader.hello().await;
            assert!(hello.recovered);
            let after = if replayed { 0 } else { hello.head };
            for seq in after + 1..=STORIES {
                assert_eq!(reader.story().await.seq, seq, "after {after}");
            }
        }));
    }
    publishing.await.unwrap();
    println!(
        "{STORIES} stories, {} readers came meanwhile",
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
    let (press, epoch) = press_with(&server, 3).await;
    let mut reader = News::open(&server).await;
    reader.hello().await;
    server.restart().await;
    let rest = reader.rest().await;
    let says_nothing = rest.iter().all(|piece| matches!(piece, Piece::Comment(_)));
    assert!(says_nothing, "the stream just ends: {rest:?}");
    let mut again = News::open_at(&server, &format!("?epoch={}", epoch.0), Some("1")).await;
    let hello = again.hello().await;
    assert!(hello.recovered && hello.epoch == epoch);
    assert_eq!(stories_until(&mut again, &press).await, [2, 3]);
}
