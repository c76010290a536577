//! A slow reader hurts only itself.

use crate::support::{
    Greeting, News, Page, Person, Piece, Press, Server,
    delays::{Delays, exchange},
    page, raw,
};
use rialto::{
    model::{Cursor, Seq},
    protocol::sse,
};
use std::time::Instant;

/// What may wait for one connection in these tests, in bytes: little, so that less has to be sent to pass it.
const QUEUE_BYTES: &str = "65536";
/// How many messages or stories are sent to find out how long they usually take.
const CALM_ROUNDS: usize = 100;
/// A busy machine delays anything now and then, a stuck reader would do so every time: one of so many tries has to be good.
const TRIES: usize = 3;

async fn start() -> Server {
    Server::start_with(|command| {
        command
            .env("RIALTO_QUEUE_BYTES", QUEUE_BYTES)
            .env("RIALTO_SEND_BURST", "100000");
    })
    .await
}

/// The size of a long message or story as an event, in bytes; it has a little more.
const LONG: usize = 16_000;

/// Four thousand characters of four bytes: as long as a message may be.
fn long_text(n: usize) -> String {
    format!("{n:04}{}", "🌉".repeat(3_990))
}

#[tokio::test]
async fn a_page_that_stops_reading_delays_nobody_and_is_closed_with_4008() {
    let server = start().await;
    let ada = Person::join(&server, "Ada").await;
    let grace = Person::join(&server, "Grace").await;
    let slow = Person::join(&server, "Slow").await;
    let (mut writer, mut reader) = (ada.page().await, grace.page().await);
    for _ in 0..TRIES {
        let without = exchange(&mut writer, &mut reader, CALM_ROUNDS, long_text).await;
        let stream = raw::narrow(server.address()).await;
        let mut stuck = Page::over(&slow, stream).await.unwrap();
        stuck.greet(Greeting::default()).await;
        // From here on it does not read, while more is written than may wait for it, by a good deal.
        let with = exchange(
            &mut writer,
            &mut reader,
            2 * raw::MOST_WAITING / LONG,
            long_text,
        )
        .await;
        reads_again(&slow, stuck, with.len()).await;
        if with.is_fine(&without, "WebSocket, beside a stuck reader") {
            return;
        }
    }
    panic!("others were delayed each time");
}

/// A page that did not read while others wrote is told whole frames without a hole, and then why it is closed. It connects again
/// and goes on where it was.
async fn reads_again(slow: &Person, mut stuck: Page, written: usize) {
    let before = stuck.room("general").clone();
    let head = before.head + Seq::try_from(written).unwrap();
    let mut last = before.head;
    let closed = loop {
        match stuck.listen().await {
            Ok(frame) => {
                if let Some(message) = page::message(&frame) {
                    assert_eq!(message.seq, last + 1, "no hole before the end");
                    last = message.seq;
                }
            }
            Err(why) => break why.expect("a close frame"),
        }
    };
    assert_eq!(u16::from(closed.code), 4008, "{}", closed.reason);
    println!("closed after {} of {written} messages", last - before.head);
    assert!(last < head, "it was closed before the end");
    let cursor = Cursor {
        epoch: before.epoch,
        seq: last,
    };
    let mut again = slow.page_with(Greeting::from(before.id, cursor)).await;
    while last < head {
        last += 1;
        assert_eq!(again.message(before.id).await.seq, last);
    }
}

/// About that long.
fn long_story(n: usize) -> serde_json::Value {
    serde_json::json!({ "headline": format!("Story {n}"), "body": "🌉".repeat(4_000) })
}

/// Stories are published and read; how long each took from the request to the reader.
async fn publish(press: &Press, reader: &mut News, rounds: usize) -> Delays {
    let mut delays = Vec::new();
    for n in 0..rounds {
        let began = Instant::now();
        let request = press.request(&long_story(n));
        let heard = async {
            let story = reader.story().await;
            delays.push(began.elapsed());
            story
        };
        let (published, story) = tokio::join!(press.send(request), heard);
        assert_eq!(published.status(), 201);
        assert_eq!(story.headline, format!("Story {n}"));
    }
    delays.into()
}

#[tokio::test]
async fn a_reader_of_the_news_that_stops_reading_delays_nobody_and_is_told_to_resync() {
    let server = start().await;
    let press = Press::open(&server).await;
    let mut reader = News::open(&server).await;
    // More than may wait for a socket that nobody reads, by a good deal.
    let rounds = 2 * raw::MOST_WAITING / LONG;
    let mut head = 0;
    for _ in 0..TRIES {
        let without = publish(&press, &mut reader, CALM_ROUNDS).await;
        let stuck = raw::Stuck::open(server.address()).await;
        let with = publish(&press, &mut reader, rounds).await;
        let after = head + Seq::try_from(CALM_ROUNDS).unwrap();
        ends_with_resync(&stuck.read_all().await, after, rounds);
        head = after + Seq::try_from(rounds).unwrap();
        if with.is_fine(&without, "SSE, beside a stuck reader") {
            return;
        }
    }
    panic!("others were delayed each time");
}

/// What a reader that did not read is told: whole stories without a hole, from a sequence on, and then that there is one.
fn ends_with_resync(pieces: &[Piece], after: Seq, published: usize) {
    let events: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Event(event) => Some(event),
            Piece::Comment(_) | Piece::Retry(_) => None,
        })
        .collect();
    let stories: Vec<Seq> = events
        .iter()
        .filter(|event| event.name == sse::STORY)
        .map(|event| event.id.parse().unwrap())
        .collect();
    println!("resync after {} of {published} stories", stories.len());
    assert!(stories.len() < published && stories.len() * LONG < raw::MOST_WAITING);
    let without_holes: Vec<Seq> = (after + 1..).take(stories.len()).collect();
    assert_eq!(stories, without_holes, "no hole before the end");
    let last = events.last().unwrap();
    assert_eq!(last.name, sse::RESYNC, "the last word of the stream");
}
