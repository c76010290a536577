//! Tests of the tails with a real store.

mod interleavings;
mod thread_interleavings;

use super::*;
use crate::{
    model::{RoomId, stream::Cursor},
    server::{
        event_log::testing,
        random,
        store::{EventRow, LockedRows, NewEvent, testing::TestStorage},
    },
};
use std::collections::BTreeMap;

const STORY: &str = r#"{"topic":"Trade"}"#;

/// The outcome, and the sequence that was published.
type Delivery = (PublishOutcome, Option<Seq>);

struct TailsFixture {
    store: Store,
    tails: Tails,
    _storage: TestStorage,
}

impl TailsFixture {
    async fn new(max_events: Seq, max_bytes: usize) -> Self {
        let storage = TestStorage::new();
        let store = testing::open_store(&storage).await;
        let mut tx = store.begin().await.unwrap();
        store.create_stream(&mut tx, Stream::News).await.unwrap();
        tx.commit().await.unwrap();
        Self {
            store,
            tails: Tails::with_max_bytes(max_events, max_bytes),
            _storage: storage,
        }
    }

    async fn commit(&self) -> EncodedEvent {
        let row = self.commit_payload(STORY).await;
        EncodedEvent::encode(Stream::News, &row).unwrap()
    }

    async fn commit_payload(&self, payload: &str) -> EventRow {
        let mut tx = self.store.begin().await.unwrap();
        let stream = Stream::News;
        let heads = self
            .store
            .lock_streams(&mut tx, &[stream], LockedRows::Wait)
            .await
            .unwrap();
        let head = heads.get(&stream).copied();
        let seq = head.unwrap() + 1;
        let row = EventRow {
            seq,
            payload: payload.to_owned(),
        };
        let new = NewEvent {
            stream,
            row: row.clone(),
            kind: "story",
        };
        self.store.create_events(&mut tx, &[new], 0).await.unwrap();
        let heads = BTreeMap::from([(stream, seq)]);
        self.store.update_heads(&mut tx, &heads).await.unwrap();
        tx.commit().await.unwrap();
        row
    }

    fn deliver(&self, event: &EncodedEvent) -> Delivery {
        let mut received = None;
        let outcome = self
            .tails
            .deliver(event, |event| received = Some(event.seq));
        (outcome, received)
    }

    fn current_tail(&self, stream: Stream) -> Arc<Tail> {
        self.tails.lock()[&stream].clone()
    }

    async fn publish_events(&self, count: usize) {
        for _ in 0..count {
            let event = self.commit().await;
            assert_eq!(
                self.tails.deliver(&event, |_| {}),
                PublishOutcome::Published
            );
        }
    }

    async fn replay(&self, seq: Seq) -> (Seq, Option<Vec<Seq>>) {
        let epoch = self.store.find_stream(Stream::News).await.unwrap().epoch;
        let cursor = Cursor { epoch, seq };
        let replay = self
            .tails
            .replay(&self.store, Stream::News, &cursor)
            .await
            .unwrap();
        let missed = replay
            .missed
            .map(|missed| missed.iter().map(|event| event.seq).collect());
        (replay.head, missed)
    }

    fn cached_seqs(&self) -> Vec<Seq> {
        let tails = self.tails.lock();
        let Some(tail) = tails.get(&Stream::News) else {
            return Vec::new();
        };
        let state = tail.lock();
        let cached = state.cached.iter();
        cached
            .flat_map(|cached| cached.events.iter().map(|event| event.seq))
            .collect()
    }
}

#[tokio::test]
async fn a_tail_grows_back_only_as_far_as_a_replay_needs_and_on_with_new_events() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    fixture.publish_events(10).await;
    assert!(fixture.cached_seqs().is_empty(), "nobody asked");
    assert_eq!(fixture.replay(8).await, (10, Some(vec![9, 10])));
    assert_eq!(fixture.cached_seqs(), [9, 10]);
    assert_eq!(fixture.replay(5).await, (10, Some(vec![6, 7, 8, 9, 10])));
    fixture.publish_events(1).await;
    assert_eq!(fixture.cached_seqs(), [6, 7, 8, 9, 10, 11]);
    assert_eq!(fixture.replay(10).await, (11, Some(vec![11])));
    assert_eq!(fixture.replay(11).await, (11, Some(vec![])));
}

#[tokio::test]
async fn everybody_who_comes_back_at_once_has_the_store_read_once() {
    let fixture = Arc::new(TailsFixture::new(100, MAX_CACHED_BYTES).await);
    fixture.publish_events(50).await;
    let replays = (0..200).map(|_| {
        let fixture = fixture.clone();
        tokio::spawn(async move { fixture.replay(40).await })
    });
    let replays: Vec<_> = replays.collect();
    for replay in replays {
        assert_eq!(replay.await.unwrap(), (50, Some((41..=50).collect())));
    }
    assert_eq!(fixture.cached_seqs(), (41..=50).collect::<Vec<_>>());
    let (epoch, _) = fixture.current_tail(Stream::News).position().unwrap();
    let event = fixture.commit().await.in_epoch(&epoch);
    assert_eq!(
        fixture.tails.bytes.load(Ordering::Relaxed),
        10 * event.bytes.len(),
        "each event is counted once"
    );
}

#[tokio::test]
async fn no_more_is_cached_than_a_resume_may_replay() {
    let fixture = TailsFixture::new(5, MAX_CACHED_BYTES).await;
    fixture.publish_events(3).await;
    assert_eq!(fixture.replay(0).await, (3, Some(vec![1, 2, 3])));
    fixture.publish_events(4).await;
    assert_eq!(fixture.cached_seqs(), [3, 4, 5, 6, 7]);
    assert_eq!(fixture.replay(1).await, (7, None), "too far behind");
    assert_eq!(fixture.replay(2).await, (7, Some(vec![3, 4, 5, 6, 7])));
}

#[tokio::test]
async fn a_client_that_saw_an_unpublished_event_resumes_after_it() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    fixture.publish_events(2).await;
    assert_eq!(fixture.replay(1).await, (2, Some(vec![2])));
    // A page was rendered between commit and fan-out.
    let late = fixture.commit().await;
    assert_eq!(fixture.replay(3).await, (3, Some(vec![])));
    assert_eq!(fixture.replay(1).await, (2, Some(vec![2])), "3 comes live");
    assert_eq!(
        fixture.tails.deliver(&late, |_| {}),
        PublishOutcome::Published
    );
    let again = |_: &EncodedEvent| panic!("told twice");
    assert_eq!(
        fixture.tails.deliver(&late, again),
        PublishOutcome::Duplicate
    );
    assert_eq!(fixture.replay(1).await, (3, Some(vec![2, 3])));
    assert_eq!(fixture.replay(4).await, (3, None), "from the future");
}

#[tokio::test]
async fn after_a_gap_nothing_is_published_before_the_store_has_filled_it() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    fixture.publish_events(2).await;
    assert_eq!(fixture.replay(1).await, (2, Some(vec![2])));
    fixture.commit().await;
    let early = fixture.commit().await;
    let unexpected = |_: &EncodedEvent| panic!("told out of order");
    assert_eq!(
        fixture.tails.deliver(&early, unexpected),
        PublishOutcome::Gap
    );
    let mut published = Vec::new();
    let caught_up = fixture
        .tails
        .catch_up(&fixture.store, Stream::News, |event| {
            published.push(event.seq);
        });
    caught_up.await.unwrap();
    assert_eq!(published, [3, 4]);
    assert_eq!(
        fixture.tails.deliver(&early, unexpected),
        PublishOutcome::Duplicate
    );
    assert_eq!(fixture.cached_seqs(), [2, 3, 4]);
    assert_eq!(fixture.tails.heads(), [(Stream::News, 4)]);
}

#[tokio::test]
async fn past_the_byte_limit_events_are_evicted_and_reread_on_demand() {
    let event = TailsFixture::new(100, MAX_CACHED_BYTES)
        .await
        .commit()
        .await;
    let fixture = TailsFixture::new(100, 6 * event.bytes.len()).await;
    fixture.publish_events(5).await;
    assert_eq!(fixture.replay(0).await.1, Some(vec![1, 2, 3, 4, 5]));
    fixture.publish_events(2).await;
    assert!(
        fixture.cached_seqs().len() < 7,
        "{:?}",
        fixture.cached_seqs()
    );
    assert_eq!(
        fixture.replay(0).await,
        (7, Some(vec![1, 2, 3, 4, 5, 6, 7])),
        "however little is kept"
    );
    assert!(fixture.tails.bytes.load(Ordering::Relaxed) <= fixture.tails.max_bytes);
}

#[tokio::test]
async fn a_stream_that_does_not_exist_leaves_nothing_behind() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    let room = new_room();
    assert!(fixture.tails.position(&fixture.store, room).await.is_err());
    assert_eq!(fixture.tails.lock().len(), 0);
}

fn new_room() -> Stream {
    Stream::Room(RoomId(random::new_id()))
}

/// Of a story that is not stored.
fn event(seq: Seq) -> EncodedEvent {
    let row = EventRow {
        seq,
        payload: STORY.to_owned(),
    };
    EncodedEvent::encode(Stream::News, &row).unwrap()
}

#[tokio::test]
async fn what_was_committed_before_the_first_resume_and_not_yet_published_is_published() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    let overdue = [fixture.commit().await, fixture.commit().await];
    assert_eq!(fixture.replay(1).await, (2, Some(vec![2])));
    let delivered = overdue.each_ref().map(|event| fixture.deliver(event));
    assert_eq!(
        delivered,
        [1, 2].map(|seq| (PublishOutcome::Published, Some(seq))),
        "others are connected and have neither"
    );
    let again = overdue.each_ref().map(|event| fixture.deliver(event));
    assert_eq!(again, [(PublishOutcome::Duplicate, None); 2]);
    fixture.publish_events(1).await;
    assert_eq!(fixture.replay(1).await, (3, Some(vec![2, 3])));
}

#[tokio::test]
async fn events_of_two_nodes_that_are_overdue_are_published_in_any_order() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    let [first, second] = [fixture.commit().await, fixture.commit().await];
    fixture.replay(2).await;
    assert_eq!(
        fixture.deliver(&second),
        (PublishOutcome::Published, Some(2))
    );
    let published = fixture.commit().await;
    assert_eq!(
        fixture.deliver(&published),
        (PublishOutcome::Published, Some(3))
    );
    assert_eq!(
        fixture.deliver(&first),
        (PublishOutcome::Published, Some(1)),
        "the bus was slow"
    );
    assert_eq!(fixture.tails.heads(), [(Stream::News, 3)]);
}

#[tokio::test]
async fn what_is_published_while_a_tail_is_loaded_is_published_once() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    let [first, second] = [fixture.commit().await, fixture.commit().await];
    fixture.tails.get_or_insert_tail(Stream::News);
    assert_eq!(
        fixture.deliver(&second),
        (PublishOutcome::Published, Some(2))
    );
    assert_eq!(fixture.replay(2).await, (2, Some(vec![])));
    assert_eq!(fixture.deliver(&second), (PublishOutcome::Duplicate, None));
    assert_eq!(
        fixture.deliver(&first),
        (PublishOutcome::Published, Some(1))
    );
}

#[tokio::test]
async fn events_that_come_out_of_order_while_a_tail_is_loaded_are_all_kept() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    fixture.tails.get_or_insert_tail(Stream::News);
    // Committed after the store is read.
    for seq in [2, 1, 3] {
        fixture.deliver(&event(seq));
    }
    assert_eq!(fixture.replay(0).await, (3, Some(vec![1, 2, 3])));
}

#[tokio::test]
async fn a_tail_that_nobody_loads_keeps_few_events() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    fixture.tails.get_or_insert_tail(Stream::News);
    for seq in 1..=3_000 {
        fixture.deliver(&event(seq));
    }
    let tail = fixture.current_tail(Stream::News);
    assert!(tail.lock().pending_events.len() <= MAX_PENDING_EVENTS);
}

#[tokio::test]
async fn a_failure_removes_no_other_tail_of_the_stream() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    let room = new_room();
    let (failing, _) = fixture.tails.get_or_insert_tail(room);
    fixture.tails.lock().remove(&room);
    let (other, _) = fixture.tails.get_or_insert_tail(room);
    let failed = fixture.tails.load_state(&fixture.store, room, &failing);
    assert!(failed.await.is_err());
    assert!(Arc::ptr_eq(&fixture.current_tail(room), &other));
}

#[tokio::test]
async fn who_waited_for_a_tail_that_failed_gets_the_one_in_its_place() {
    let fixture = Arc::new(TailsFixture::new(100, MAX_CACHED_BYTES).await);
    let room = new_room();
    let (failing, _) = fixture.tails.get_or_insert_tail(room);
    let loading = failing.load_lock.lock().await;
    let waiting = tokio::spawn({
        let fixture = fixture.clone();
        async move { fixture.tails.position(&fixture.store, room).await }
    });
    // It runs until it waits for the lock.
    tokio::task::yield_now().await;
    fixture.tails.remove(room, &failing);
    let mut tx = fixture.store.begin().await.unwrap();
    fixture.store.create_stream(&mut tx, room).await.unwrap();
    tx.commit().await.unwrap();
    drop(loading);
    assert_eq!(waiting.await.unwrap().unwrap().1, 0);
    assert!(failing.lock().cached.is_none(), "nobody would find it");
    assert!(fixture.current_tail(room).lock().cached.is_some());
}

#[tokio::test]
async fn a_new_stream_is_published_from_its_first_event_on() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    let (_lost, delivered) = (fixture.commit().await, fixture.commit().await);
    let published_from_start = async |watched| {
        let mut published = Vec::new();
        let start =
            fixture
                .tails
                .publish_from_start(&fixture.store, Stream::News, watched, |event| {
                    published.push(event.seq);
                });
        start.await.unwrap();
        published
    };
    let watched = fixture.tails.watch(Stream::News);
    assert_eq!(watched, Watched::FromNow);
    fixture.deliver(&delivered);
    assert_eq!(published_from_start(watched).await, [1], "lost on the bus");
    let watched = fixture.tails.watch(Stream::News);
    assert_eq!(watched, Watched::Before);
    assert_eq!(
        published_from_start(watched).await,
        [1, 2],
        "new subscribers may have none"
    );
}

#[tokio::test]
async fn a_replay_without_an_event_that_cannot_be_encoded_is_not_called_recovered() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    fixture.publish_events(2).await;
    fixture.commit_payload("{}").await;
    assert_eq!(fixture.replay(2).await, (3, None), "the last");
    let last = fixture.commit().await;
    assert_eq!(fixture.deliver(&last), (PublishOutcome::Published, Some(4)));
    assert_eq!(fixture.replay(2).await, (4, None), "one in between");
    assert_eq!(fixture.replay(3).await, (4, Some(vec![4])));
}

#[tokio::test]
async fn the_ids_of_stories_have_the_epoch_wherever_they_come_from() {
    let fixture = TailsFixture::new(100, MAX_CACHED_BYTES).await;
    fixture.publish_events(1).await;
    let (epoch, _) = fixture
        .tails
        .position(&fixture.store, Stream::News)
        .await
        .unwrap();
    let mut live = Vec::new();
    let event = fixture.commit().await;
    fixture
        .tails
        .deliver(&event, |event| live.push(event.clone()));
    let cursor = Cursor {
        epoch: epoch.clone(),
        seq: 0,
    };
    let replay = fixture
        .tails
        .replay(&fixture.store, Stream::News, &cursor)
        .await;
    let replayed = replay.unwrap().missed.unwrap();
    assert_eq!((live.len(), replayed.len()), (1, 2));
    for story in live.into_iter().chain(replayed) {
        let id = format!("\nid: {}:{}\n", epoch.0, story.seq);
        let text = std::str::from_utf8(&story.bytes).unwrap();
        assert!(text.contains(&id), "{text}");
    }
}
