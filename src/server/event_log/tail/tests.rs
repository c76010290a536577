//! Tests of the tails with a real store.

use super::*;
use crate::server::{
    event_log::testing,
    store::{EventRow, LockedRows, NewEvent, testing::TestStorage},
};
use std::collections::BTreeMap;

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
        let mut tx = self.store.begin().await.unwrap();
        let stream = Stream::News;
        let heads = self
            .store
            .lock_streams(&mut tx, &[stream], LockedRows::Wait)
            .await
            .unwrap();
        let head = heads.get(&stream).copied();
        let row = EventRow {
            seq: head.unwrap() + 1,
            payload: r#"{"topic":"Trade"}"#.to_owned(),
        };
        let event = EncodedEvent::encode(stream, &row).unwrap();
        let (seq, kind) = (row.seq, "story");
        let new = NewEvent { stream, row, kind };
        self.store.create_events(&mut tx, &[new], 0).await.unwrap();
        let heads = BTreeMap::from([(stream, seq)]);
        self.store.update_heads(&mut tx, &heads).await.unwrap();
        tx.commit().await.unwrap();
        event
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
    assert_eq!(
        fixture.tails.bytes.load(Ordering::Relaxed),
        10 * fixture.commit().await.bytes.len(),
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
    let room = Stream::Room(crate::model::RoomId(uuid::Uuid::from_u128(7)));
    assert!(fixture.tails.position(&fixture.store, room).await.is_err());
    assert_eq!(fixture.tails.lock().len(), 0);
}
