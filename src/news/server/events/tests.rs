use super::super::testing::{NewsFixture, SseBlock, TestEventStream, news_fixture};
use super::*;
use crate::{model::story::Story, server::live::Flusher};
use axum::{body::Body, http::Request};
use tokio::io::AsyncReadExt;

fn parse_hello(said: &SseBlock) -> Hello {
    assert_eq!(said.event, "hello");
    serde_json::from_str(&said.data).unwrap()
}

async fn open_stream(
    fixture: &NewsFixture,
    address: &str,
    last_event_id: Option<&str>,
) -> (Hello, TestEventStream) {
    let mut reading = fixture.open_stream(address, last_event_id).await;
    let said = reading.next_event().await.unwrap();
    (parse_hello(&said), reading)
}

async fn fixture_with_stories(count: i64, arguments: &[&str]) -> (NewsFixture, String) {
    let fixture = news_fixture(arguments).await;
    for number in 1..=count {
        let topic = if number % 2 == 0 { "Even" } else { "Odd" };
        fixture.publish(&format!("Story {number}"), topic).await;
    }
    let epoch = fixture
        .app
        .store
        .find_stream(Stream::News)
        .await
        .unwrap()
        .epoch
        .0;
    (fixture, epoch)
}

async fn assert_resync(fixture: &NewsFixture, address: &str, last_event_id: Option<&str>) {
    let (hello, mut reading) = open_stream(fixture, address, last_event_id).await;
    assert!(!hello.recovered, "{address} {last_event_id:?}");
    let said = reading.next_event().await.unwrap();
    let continued = sse::event_id(&hello.epoch, hello.head);
    assert_eq!((said.event, said.id), ("resync".into(), continued));
    let resync: Resync = serde_json::from_str(&said.data).unwrap();
    assert_eq!((resync.epoch, resync.head), (hello.epoch, hello.head));
    assert_eq!(reading.next_block().await, None, "and the stream ends");
}

#[tokio::test]
async fn the_answer_is_kept_by_no_cache_and_held_back_by_no_proxy() {
    let fixture = news_fixture(&[]).await;
    let reading = fixture.open_stream("/news/events", None).await;
    let header = |name: &str| reading.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-accel-buffering"), "no");
}

#[tokio::test]
async fn without_a_cursor_only_what_comes_from_now_on_is_sent() {
    let (fixture, epoch) = fixture_with_stories(2, &[]).await;
    let mut reading = fixture.open_stream("/news/events", None).await;
    let said = reading.next_event().await.unwrap();
    assert_eq!(said.retry, "2000");
    assert_eq!(said.id, format!("{epoch}:2"));
    let expected = Hello {
        epoch: Epoch(epoch.clone()),
        head: 2,
        recovered: true,
        build: "build-1".into(),
    };
    assert_eq!(parse_hello(&said), expected);
    let published = fixture.publish("Story 3", "").await;
    let said = reading.next_event().await.unwrap();
    assert_eq!(
        (said.event, said.id),
        ("story".into(), format!("{epoch}:3"))
    );
    assert_eq!(
        serde_json::from_str::<Story>(&said.data).unwrap(),
        published
    );
}

#[tokio::test]
async fn a_stream_resumes_from_its_cursor() {
    let (fixture, epoch) = fixture_with_stories(5, &[]).await;
    let address = format!("/news/events?epoch={epoch}&after=2");
    let (hello, mut reading) = open_stream(&fixture, &address, None).await;
    assert_eq!((hello.recovered, hello.head), (true, 5));
    assert_eq!(reading.next_story_seqs(3).await, [3, 4, 5]);
    fixture.publish("Story 6", "").await;
    assert_eq!(reading.next_story_seqs(1).await, [6]);

    let id = format!("{epoch}:5");
    let (_, mut reading) = open_stream(&fixture, &address, Some(&id)).await;
    assert_eq!(
        reading.next_story_seqs(1).await,
        [6],
        "what a browser says on reconnecting is newer than its address"
    );
    let (_, mut reading) = open_stream(&fixture, "/news/events", Some("4")).await;
    assert_eq!(
        reading.next_story_seqs(2).await,
        [5, 6],
        "the id of an earlier version has no epoch"
    );
}

#[tokio::test]
async fn an_event_source_that_reconnects_by_itself_loses_nothing_whenever_it_breaks_off() {
    let (fixture, epoch) = fixture_with_stories(4, &[]).await;
    let address = format!("/news/events?epoch={epoch}&after=2");
    let mut reading = fixture.open_stream(&address, None).await;
    let hello = reading.next_event().await.unwrap();
    assert_eq!(hello.id, format!("{epoch}:2"), "nothing was replayed yet");
    let (_, mut again) = open_stream(&fixture, &address, Some(&hello.id)).await;
    assert_eq!(again.next_story_seqs(2).await, [3, 4]);
    let first = reading.next_event().await.unwrap();
    let (_, mut again) = open_stream(&fixture, &address, Some(&first.id)).await;
    assert_eq!(again.next_story_seqs(1).await, [4]);
}

#[tokio::test]
async fn an_event_source_that_reconnects_to_a_restored_store_is_told_to_resync_and_goes_on() {
    let (fixture, epoch) = fixture_with_stories(4, &[]).await;
    let mut reading = fixture
        .open_stream("/news/events", Some("0123456789abcdef:3"))
        .await;
    let hello = reading.next_event().await.unwrap();
    assert_eq!(
        (parse_hello(&hello).recovered, hello.id.as_str()),
        (false, "")
    );
    let resync = reading.next_event().await.unwrap();
    assert_eq!(
        (resync.event.as_str(), reading.next_block().await),
        ("resync", None)
    );
    assert_eq!(resync.id, format!("{epoch}:4"));
    fixture.publish("Story 5", "").await;
    let (hello, mut again) = open_stream(&fixture, "/news/events", Some(&resync.id)).await;
    assert!(hello.recovered);
    assert_eq!(again.next_story_seqs(1).await, [5]);
}

#[tokio::test]
async fn a_cursor_that_cannot_be_resumed_from_gets_a_resync() {
    let (fixture, epoch) = fixture_with_stories(5, &["--replay-events", "3"]).await;
    assert_resync(&fixture, "/news/events?epoch=another&after=4", None).await;
    assert_resync(&fixture, "/news/events?epoch=another", Some("4")).await;
    assert_resync(
        &fixture,
        &format!("/news/events?epoch={epoch}&after=6"),
        None,
    )
    .await;
    assert_resync(
        &fixture,
        &format!("/news/events?epoch={epoch}&after=1"),
        None,
    )
    .await;
    assert_resync(&fixture, "/news/events", Some("another:4")).await;
    assert_resync(&fixture, "/news/events", Some(&format!("{epoch}:6"))).await;
}

#[tokio::test]
async fn of_one_topic_only_its_stories_are_sent() {
    let (fixture, epoch) = fixture_with_stories(4, &[]).await;
    let (_, mut reading) = open_stream(
        &fixture,
        &format!("/news/events?topic=Even&epoch={epoch}&after=0"),
        None,
    )
    .await;
    assert_eq!(reading.next_story_seqs(2).await, [2, 4]);
    fixture.publish("Story 5", "Odd").await;
    fixture.publish("Story 6", "Even").await;
    assert_eq!(reading.next_story_seqs(1).await, [6]);
}

#[tokio::test]
async fn a_reader_of_one_topic_resumes_however_many_stories_others_have() {
    let (fixture, epoch) = fixture_with_stories(7, &["--replay-events", "3"]).await;
    let address = |after| format!("/news/events?topic=Even&epoch={epoch}&after={after}");
    let (hello, mut reading) = open_stream(&fixture, &address(0), None).await;
    assert_eq!((hello.recovered, hello.head), (true, 7));
    assert_eq!(reading.next_story_seqs(3).await, [2, 4, 6]);
    fixture.publish("Story 8", "Even").await;
    assert_eq!(reading.next_story_seqs(1).await, [8]);
    assert_resync(&fixture, &address(0), None).await;
    let (_, mut reading) = open_stream(&fixture, &address(2), None).await;
    assert_eq!(reading.next_story_seqs(3).await, [4, 6, 8]);
    assert_resync(
        &fixture,
        "/news/events?topic=Even&epoch=another&after=2",
        None,
    )
    .await;
    let (hello, _) = open_stream(
        &fixture,
        &format!("/news/events?topic=None&epoch={epoch}&after=0"),
        None,
    )
    .await;
    assert!(hello.recovered, "a topic without a story has missed none");
}

#[tokio::test]
async fn a_topic_with_more_stories_than_a_page_of_the_store_is_replayed_in_order() {
    let (fixture, epoch) = fixture_with_stories(0, &["--replay-events", "110"]).await;
    for number in 1..=110 {
        fixture.publish(&format!("Story {number}"), "Even").await;
    }
    fixture.publish("Story 111", "Odd").await;
    let address = format!("/news/events?topic=Even&epoch={epoch}&after=0");
    let (hello, mut reading) = open_stream(&fixture, &address, None).await;
    assert!(hello.recovered);
    let expected: Vec<Seq> = (1..=110).collect();
    assert_eq!(reading.next_story_seqs(110).await, expected);
}

#[tokio::test]
async fn a_story_published_between_subscribing_and_reading_the_log_is_sent_once() {
    let (fixture, epoch) = fixture_with_stories(1, &[]).await;
    let send_queue = SendQueue::new(&Flusher::default(), 10_000);
    let reading = fixture
        .app
        .news_subscribers
        .subscribe(send_queue.clone(), Filter::default());
    fixture.publish("Story 2", "").await;
    let cursor = Cursor {
        epoch: Epoch(epoch),
        seq: 0,
    };
    let replay = fixture
        .app
        .event_log
        .replay(Stream::News, &cursor)
        .await
        .unwrap();
    fixture.publish("Story 3", "").await;
    let reader = SseSession {
        app: fixture.app.clone(),
        queue: send_queue.clone(),
        has_heartbeat_events: false,
        _subscription: reading,
    };
    let start = StreamStart { after: 0, replay };
    reader.send_start(start).await.unwrap();
    fixture.publish("Story 4", "").await;
    let bytes = send_queue.take().unwrap().concat();
    let text = String::from_utf8(bytes).unwrap();
    let ids: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .collect();
    let expected = [0, 1, 2, 3, 4].map(|seq| sse::event_id(&cursor.epoch, seq));
    assert_eq!(ids, expected, "of hello and four stories");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_come_while_stories_are_published_miss_none_and_get_none_twice() {
    const STORIES: i64 = 60;
    let (fixture, epoch) = fixture_with_stories(1, &[]).await;
    let fixture = Arc::new(fixture);
    let publisher = tokio::spawn({
        let fixture = fixture.clone();
        async move {
            for number in 2..=STORIES {
                fixture.publish(&format!("Story {number}"), "").await;
            }
        }
    });
    let readers = (0..12).map(|_| {
        let (fixture, address) = (
            fixture.clone(),
            format!("/news/events?epoch={epoch}&after=0"),
        );
        tokio::spawn(async move {
            let (_, mut reading) = open_stream(&fixture, &address, None).await;
            reading
                .next_story_seqs(usize::try_from(STORIES).unwrap())
                .await
        })
    });
    let expected: Vec<Seq> = (1..=STORIES).collect();
    for reader in readers.collect::<Vec<_>>() {
        assert_eq!(reader.await.unwrap(), expected);
    }
    publisher.await.unwrap();
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_told_to_resync_and_holds_up_nobody() {
    const STORIES: i64 = 30;
    let (fixture, _) = fixture_with_stories(0, &["--queue-bytes", "100000"]).await;
    // A client library would read ahead.
    let mut slow = fixture.connect("/news/events").await;
    let (_, mut quick) = open_stream(&fixture, "/news/events", None).await;
    for number in 1..=STORIES {
        fixture.publish_body("Long", &"news ".repeat(7_000)).await;
        assert_eq!(quick.next_story_seqs(1).await, [number]);
    }
    let mut said = Vec::new();
    let all = timeout(Duration::from_secs(10), slow.read_to_end(&mut said)).await;
    all.expect("the stream ends").unwrap();
    let said = String::from_utf8(said).unwrap();
    let (rest, last) = said.trim_end().rsplit_once("\n\n").unwrap();
    // Without an id: the client resumes from the last story read.
    let data = last.strip_prefix("event: resync\ndata: ").unwrap();
    let resync: Resync = serde_json::from_str(data).unwrap();
    assert!(resync.head > 1 && resync.head <= STORIES, "{resync:?}");
    let whole = rest.matches("\nid: ").count();
    assert!(i64::try_from(whole).unwrap() < resync.head);
}

#[tokio::test]
async fn a_shutdown_ends_the_stream_without_a_resync() {
    let (fixture, _) = fixture_with_stories(1, &[]).await;
    let (_, mut reading) = open_stream(&fixture, "/news/events", None).await;
    fixture.app.news_subscribers.close_all();
    assert_eq!(reading.next_event().await, None);
}

#[tokio::test]
async fn a_heartbeat_is_a_comment_and_for_scripts_an_event_too() {
    let fixture = news_fixture(&["--heartbeat-seconds", "1"]).await;
    let (_, mut reading) = open_stream(&fixture, "/news/events", None).await;
    for _ in 0..2 {
        assert_eq!(reading.next_line().await, ":");
    }
    let (_, mut reading) = open_stream(&fixture, "/news/events?beat=true", None).await;
    for _ in 0..2 {
        let lines = [":", "event: beat", "data: {\"seconds\":1}", ""];
        for line in lines {
            assert_eq!(reading.next_line().await, line);
        }
    }
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_refused_in_words() {
    let fixture = news_fixture(&[]).await;
    let long = "a".repeat(50);
    for (query, word) in [
        ("after=x", "integer"),
        ("after=1.5", "integer"),
        ("after=-1", "integer"),
        ("after=99999999999999999999", "integer"),
        ("beat=perhaps", "true or false"),
        (&*format!("topic={long}"), "topic"),
        (&*format!("epoch={long}"), "epoch"),
        ("topic=a&topic=b", "duplicate field"),
    ] {
        let request = Request::get(format!("/news/events?{query}"))
            .body(Body::empty())
            .unwrap();
        let response = fixture.send(request).await;
        assert_eq!(response.status(), 400, "{query}");
        let body = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .unwrap();
        assert!(
            std::str::from_utf8(&body).unwrap().contains(word),
            "{query}: {body:?}"
        );
    }
    open_stream(&fixture, "/news/events?topic=&epoch=&after=&beat=", None).await;
}

#[tokio::test]
async fn a_last_event_id_that_makes_no_sense_is_refused_in_words() {
    let fixture = news_fixture(&[]).await;
    for id in ["yesterday", "-1", "4; DROP TABLE", "a:b:c", ":1", "é:1"] {
        let request = Request::get("/news/events")
            .header("last-event-id", id)
            .body(Body::empty())
            .unwrap();
        let response = fixture.send(request).await;
        assert_eq!(response.status(), 400, "{id}");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await;
        let body = body.unwrap();
        let words = std::str::from_utf8(&body).unwrap();
        assert!(words.contains("Last-Event-ID"), "{id}: {words}");
    }
    open_stream(&fixture, "/news/events", Some("")).await;
}
