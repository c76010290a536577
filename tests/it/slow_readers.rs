//! A slow reader delays nobody else.

use crate::support::{
    Browser, HelloFrame, Publisher, Server, SseClient, SseItem, WsClient,
    latencies::{Latencies, measure_latencies},
    stuck_reader, ws_client,
};
use rialto::{
    model::{Cursor, Seq, story::Story},
    protocol::sse,
};
use std::time::Instant;

/// Few messages exceed it.
const QUEUE_BYTES: &str = "65536";
/// Messages or stories.
const BASELINE_ROUNDS: usize = 100;
/// A busy machine may delay any attempt, a stuck reader would delay all.
const MAX_ATTEMPTS: usize = 3;

async fn start_with_small_queue() -> Server {
    Server::start_with(|command| {
        command
            .env("RIALTO_QUEUE_BYTES", QUEUE_BYTES)
            .env("RIALTO_LIMITS", "messages=100000,frames=100000");
    })
    .await
}

/// Lower bound of a long message or story as an event.
const LONG_EVENT_BYTES: usize = 16_000;

/// 3,994 characters, all but four of them 4 bytes long.
fn long_text(n: usize) -> String {
    format!("{n:04}{}", "🌉".repeat(3_990))
}

#[tokio::test]
async fn a_client_that_stops_reading_delays_nobody_and_is_closed_with_4008() {
    let server = start_with_small_queue().await;
    let ada = Browser::join(&server, "Ada").await;
    let grace = Browser::join(&server, "Grace").await;
    let slow = Browser::join(&server, "Slow").await;
    let (mut writer, mut reader) = (ada.connect().await, grace.connect().await);
    for _ in 0..MAX_ATTEMPTS {
        let baseline =
            measure_latencies(&mut writer, &mut reader, BASELINE_ROUNDS, long_text).await;
        let stream = stuck_reader::connect_with_small_buffer(server.address()).await;
        let mut stuck = WsClient::open_socket_over(&slow, stream).await.unwrap();
        stuck.exchange_hello(HelloFrame::default()).await;
        // It stops reading, while well over its limit is sent.
        let with = measure_latencies(
            &mut writer,
            &mut reader,
            2 * stuck_reader::MAX_QUEUED_BYTES / LONG_EVENT_BYTES,
            long_text,
        )
        .await;
        assert_closed_and_resumes(&slow, stuck, with.len()).await;
        if with.is_within_budget(&baseline, "WebSocket beside a stuck reader") {
            return;
        }
    }
    panic!("others were delayed in every attempt");
}

/// Complete frames without a gap, then close code 4008; a resume at its cursor.
async fn assert_closed_and_resumes(slow: &Browser, mut stuck: WsClient, written: usize) {
    let before = stuck.room("general").clone();
    let head = before.head + Seq::try_from(written).unwrap();
    let mut last = before.head;
    let closed = loop {
        match stuck.next_frame().await {
            Ok(frame) => {
                if let Some(message) = ws_client::as_message(&frame) {
                    assert_eq!(message.seq, last + 1, "no gap before the close frame");
                    last = message.seq;
                }
            }
            Err(why) => break why.expect("a close frame"),
        }
    };
    assert_eq!(u16::from(closed.code), 4008, "{}", closed.reason);
    println!("closed after {} of {written} messages", last - before.head);
    assert!(last < head, "closed before the last message");
    let cursor = Cursor {
        epoch: before.epoch,
        seq: last,
    };
    let mut again = slow
        .connect_with(HelloFrame::with_cursor(before.id, cursor))
        .await;
    while last < head {
        last += 1;
        assert_eq!(again.next_message(before.id).await.seq, last);
    }
}

/// About [`LONG_EVENT_BYTES`].
fn long_story(n: usize) -> serde_json::Value {
    serde_json::json!({ "headline": format!("Story {n}"), "body": "🌉".repeat(4_000) })
}

/// From each request to its event at the reader.
async fn measure_publish_latencies(
    publisher: &Publisher,
    reader: &mut SseClient,
    rounds: usize,
) -> Latencies {
    let mut delays = Vec::new();
    for n in 0..rounds {
        let began = Instant::now();
        let request = publisher.story_request(&long_story(n));
        let received = async {
            let story = reader.next_story().await;
            delays.push(began.elapsed());
            story
        };
        let (posted, story) = tokio::join!(publisher.send(request), received);
        assert_eq!(posted.status(), 201);
        assert_eq!(story.headline, format!("Story {n}"));
    }
    delays.into()
}

#[tokio::test]
async fn a_reader_of_the_news_that_stops_reading_delays_nobody_and_is_told_to_resync() {
    let server = start_with_small_queue().await;
    let publisher = Publisher::create(&server).await;
    let mut reader = SseClient::open(&server).await;
    // Well over what queues up for a socket that is not read.
    let rounds = 2 * stuck_reader::MAX_QUEUED_BYTES / LONG_EVENT_BYTES;
    let mut head = 0;
    for _ in 0..MAX_ATTEMPTS {
        let baseline = measure_publish_latencies(&publisher, &mut reader, BASELINE_ROUNDS).await;
        let stuck = stuck_reader::StuckReader::open_sse(server.address()).await;
        let with = measure_publish_latencies(&publisher, &mut reader, rounds).await;
        let after = head + Seq::try_from(BASELINE_ROUNDS).unwrap();
        assert_ends_with_resync(&stuck.read_events().await, after, rounds);
        head = after + Seq::try_from(rounds).unwrap();
        if with.is_within_budget(&baseline, "SSE beside a stuck reader") {
            return;
        }
    }
    panic!("others were delayed in every attempt");
}

/// Complete stories after `after` without a gap, then `resync`.
fn assert_ends_with_resync(items: &[SseItem], after: Seq, posted: usize) {
    let events: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            SseItem::Event(event) => Some(event),
            SseItem::Comment(_) | SseItem::Retry(_) => None,
        })
        .collect();
    let stories: Vec<Seq> = events
        .iter()
        .filter(|event| event.name == sse::STORY_EVENT)
        .map(|event| event.json::<Story>().seq)
        .collect();
    println!("resync after {} of {posted} stories", stories.len());
    assert!(
        stories.len() < posted && stories.len() * LONG_EVENT_BYTES < stuck_reader::MAX_QUEUED_BYTES
    );
    let without_holes: Vec<Seq> = (after + 1..).take(stories.len()).collect();
    assert_eq!(stories, without_holes, "no gap before resync");
    let last = events.last().unwrap();
    assert_eq!(last.name, sse::RESYNC_EVENT, "the last event of the stream");
    if let [.., last_story, _] = events.as_slice() {
        assert_eq!(
            last.last_event_id, last_story.last_event_id,
            "the cursor stays valid"
        );
    }
}
