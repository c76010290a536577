//! Tests of the writer with a real store.

use super::*;
use crate::{
    model::{
        MessageId, RoomId, Seq, UserId,
        message::{Content, MessageText},
        room::RoomName,
        story::{StoryDraft, Urgency},
        user::{Person, Role, UserName},
    },
    protocol::failure::Failure,
    server::{
        event_log::{EventLog, NewMessage, NewStory, tail::Tails, testing},
        random,
        store::{Fault, PostedMessage, Step, Stream, testing::TestStorage},
    },
};
use std::sync::Arc;
use tokio::sync::oneshot;

struct LogFixture {
    store: Store,
    log: EventLog,
    room: RoomId,
    ada: Person,
    storage: TestStorage,
}

impl LogFixture {
    async fn new() -> Self {
        let storage = TestStorage::new();
        let store = testing::open_store(&storage).await;
        let ada = Person {
            id: UserId(random::new_id()),
            name: UserName::new("Ada").unwrap(),
            role: Role::Guest,
        };
        let mut tx = store.begin().await.unwrap();
        store.create_user(&mut tx, &ada, None, 0).await.unwrap();
        store.create_stream(&mut tx, Stream::News).await.unwrap();
        tx.commit().await.unwrap();
        let room = RoomId(random::new_id());
        let name = RoomName::new("General").unwrap();
        store.create_room(room, "general", &name, 0).await.unwrap();
        let log = EventLog::new(
            store.clone(),
            Arc::default(),
            Arc::default(),
            None,
            Arc::default(),
            1_000,
        );
        Self {
            store,
            log,
            room,
            ada,
            storage,
        }
    }

    fn message(&self, id: MessageId) -> NewMessage {
        NewMessage {
            id,
            room: self.room,
            author: self.ada.clone(),
            content: Content::Text {
                text: MessageText::new("What news?").unwrap(),
            },
            media_type: None,
        }
    }

    fn writer(&self, tails: Arc<Tails>) -> Writer {
        let fanout = Fanout {
            tails,
            connections: Arc::default(),
            news_subscribers: Arc::default(),
            bus: None,
            metrics: Arc::default(),
            lagging_streams: mpsc::channel(1).0,
            announcements: mpsc::channel(1).0,
        };
        Writer::new(self.store.clone(), fanout)
    }

    async fn append(&self, messages: Vec<NewMessage>) -> Vec<Result<PostedMessage>> {
        let mut writer = self.writer(Arc::new(Tails::new(1_000)));
        append_with(&mut writer, messages).await
    }

    async fn add_member(&self, name: &str) -> UserId {
        let person = Person {
            id: UserId(random::new_id()),
            name: UserName::new(name).unwrap(),
            role: Role::Guest,
        };
        let mut tx = self.store.begin().await.unwrap();
        self.store
            .create_user(&mut tx, &person, None, 0)
            .await
            .unwrap();
        self.store
            .join_public_rooms(&mut tx, person.id, 0)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        person.id
    }

    async fn stored(&self) -> Vec<Seq> {
        let stream = Stream::Room(self.room);
        let events = self.store.list_events(stream, 0, 1_000).await.unwrap();
        events.into_iter().map(|event| event.seq).collect()
    }
}

async fn append_with(writer: &mut Writer, messages: Vec<NewMessage>) -> Vec<Result<PostedMessage>> {
    let (mut batch, mut answers) = (Vec::new(), Vec::new());
    for new in messages {
        let (answer, answered) = oneshot::channel();
        batch.push(AppendRequest::Message(new, answer));
        answers.push(answered);
    }
    writer.append(&mut batch).await;
    assert!(batch.is_empty());
    while !writer.blocked.is_empty() {
        writer.retry().await;
    }
    let mut results = Vec::new();
    for answered in answers {
        results.push(answered.await.unwrap());
    }
    results
}

fn without_caller(new: &NewMessage) -> AppendRequest {
    AppendRequest::Message(new.clone(), oneshot::channel().0)
}

fn id() -> MessageId {
    MessageId(random::new_id())
}

fn seqs(results: &[Result<PostedMessage>]) -> Vec<Option<Seq>> {
    let seq = |result: &Result<PostedMessage>| result.as_ref().ok().map(|posted| posted.seq);
    results.iter().map(seq).collect()
}

#[tokio::test]
async fn a_batch_takes_sequences_in_order_and_without_gaps() {
    let fixture = LogFixture::new().await;
    let first = fixture
        .append((0..100).map(|_| fixture.message(id())).collect())
        .await;
    assert_eq!(seqs(&first), (1..=100).map(Some).collect::<Vec<_>>());
    let more = fixture.append(vec![fixture.message(id())]).await;
    assert_eq!(seqs(&more), [Some(101)]);
    assert_eq!(fixture.stored().await, (1..=101).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_repeated_id_in_the_same_batch_or_later_is_answered_with_its_first_result() {
    let fixture = LogFixture::new().await;
    let twice = id();
    let group = vec![
        fixture.message(twice),
        fixture.message(id()),
        fixture.message(twice),
    ];
    assert_eq!(
        seqs(&fixture.append(group).await),
        [Some(1), Some(2), Some(1)]
    );
    let later = vec![fixture.message(id()), fixture.message(twice)];
    assert_eq!(seqs(&fixture.append(later).await), [Some(3), Some(1)]);
    assert_eq!(fixture.stored().await, [1, 2, 3]);
}

#[tokio::test]
async fn what_breaks_a_rule_takes_nobody_with_it() {
    let fixture = LogFixture::new().await;
    let taken = id();
    fixture.append(vec![fixture.message(taken)]).await;
    let mut stolen = fixture.message(taken);
    stolen.author.id = UserId(random::new_id());
    let mut nowhere = fixture.message(id());
    nowhere.room = RoomId(random::new_id());
    let group = vec![
        fixture.message(id()),
        stolen,
        nowhere,
        fixture.message(id()),
    ];
    let results = fixture.append(group).await;
    assert_eq!(seqs(&results), [Some(2), None, None, Some(3)]);
    let failure = |at: usize| match results[at].as_ref().unwrap_err() {
        Error::User(failure) => failure.clone(),
        other => panic!("{other}"),
    };
    assert!(matches!(failure(1), Failure::Invalid { .. }));
    assert!(matches!(failure(2), Failure::NotFound { .. }));
}

#[tokio::test]
async fn what_the_store_refuses_takes_nobody_with_it_and_no_sequence() {
    let fixture = LogFixture::new().await;
    // No user has this id, which only the store detects.
    let mut ghost = fixture.message(id());
    ghost.author.id = UserId(random::new_id());
    let results = fixture
        .append(vec![fixture.message(id()), ghost, fixture.message(id())])
        .await;
    assert_eq!(seqs(&results), [Some(1), None, Some(2)]);
    assert!(matches!(results[1], Err(Error::Store(_))));
    assert_eq!(fixture.stored().await, [1, 2]);
}

#[tokio::test]
async fn many_who_append_at_once_are_all_answered() {
    let fixture = LogFixture::new().await;
    let posts = (0..300).map(|_| fixture.log.post_message(fixture.message(id())));
    let mut posted: Vec<Seq> = futures::future::join_all(posts)
        .await
        .into_iter()
        .map(|posted| posted.unwrap().seq)
        .collect();
    posted.sort_unstable();
    assert_eq!(posted, (1..=300).collect::<Vec<_>>());
}

#[tokio::test]
async fn stories_of_one_batch_do_not_take_one_anothers_slug() {
    let fixture = LogFixture::new().await;
    let story = |request: Option<&str>| NewStory {
        draft: StoryDraft::new("High water", "", "", Urgency::Normal).unwrap(),
        html: String::new(),
        summary: String::new(),
        slug: "high-water".to_owned(),
        byline: "Gazette".to_owned(),
        request_id: request.map(str::to_owned),
    };
    let (one, two, again) = tokio::join!(
        fixture.log.publish_story(story(Some("a"))),
        fixture.log.publish_story(story(Some("b"))),
        fixture.log.publish_story(story(Some("a"))),
    );
    let (one, two, again) = (one.unwrap(), two.unwrap(), again.unwrap());
    assert_eq!((one.slug.as_str(), one.seq), ("high-water", 1));
    assert_eq!((two.slug.as_str(), two.seq), ("high-water-2", 2));
    assert_eq!(again, one);
}

#[tokio::test]
async fn what_an_abandoned_batch_has_committed_is_published_before_anything_newer() {
    let fixture = LogFixture::new().await;
    let stream = Stream::Room(fixture.room);
    let tails = Arc::new(Tails::new(1_000));
    tails.position(&fixture.store, stream).await.unwrap();
    let mut writer = fixture.writer(tails.clone());
    let in_doubt: Vec<_> = (0..3).map(|_| fixture.message(id())).collect();
    assert_eq!(
        seqs(&fixture.append(in_doubt[..2].to_vec()).await),
        [Some(1), Some(2)]
    );
    writer.add_in_doubt(&in_doubt.iter().map(without_caller).collect::<Vec<_>>());

    let newer = append_with(&mut writer, vec![fixture.message(id())]).await;
    assert_eq!(seqs(&newer), [Some(3)]);
    assert_eq!(tails.heads(), [(stream, 3)], "published without a gap");
    assert!(writer.in_doubt.is_empty());
    assert_eq!(fixture.stored().await, [1, 2, 3], "nothing was added");
    let again = append_with(&mut writer, in_doubt).await;
    assert_eq!(seqs(&again), [Some(1), Some(2), Some(4)]);
}

#[tokio::test]
async fn a_read_cursor_in_doubt_is_written_with_the_events_in_doubt() {
    let fixture = LogFixture::new().await;
    let bob = fixture.add_member("Bob").await;
    let mut writer = fixture.writer(Arc::new(Tails::new(1_000)));
    fixture.append(vec![fixture.message(id())]).await;
    let (reply, _) = oneshot::channel();
    let read = AppendRequest::ReadCursor {
        room: fixture.room,
        user: bob,
        seq: 1,
        reply,
    };
    writer.add_in_doubt(&[without_caller(&fixture.message(id())), read]);
    writer.retry().await;
    assert!(writer.in_doubt.is_empty());
    let room = fixture.store.find_room(fixture.room, bob).await.unwrap();
    assert_eq!(room.map(|room| (room.head, room.read_seq)), Some((1, 1)));
}

#[tokio::test]
async fn more_events_in_doubt_than_fit_in_a_batch_are_all_published() {
    let fixture = LogFixture::new().await;
    let stream = Stream::Room(fixture.room);
    let tails = Arc::new(Tails::new(1_000));
    tails.position(&fixture.store, stream).await.unwrap();
    let mut writer = fixture.writer(tails.clone());
    let in_doubt: Vec<_> = (0..300).map(|_| fixture.message(id())).collect();
    for batch in in_doubt.chunks(MAX_BATCH_ENTRIES) {
        fixture.append(batch.to_vec()).await;
    }
    let entries: Vec<_> = in_doubt.iter().map(without_caller).collect();
    writer.add_in_doubt(&entries);
    while !writer.in_doubt.is_empty() {
        writer.retry().await;
    }
    assert_eq!(tails.heads(), [(stream, 300)]);
}

#[tokio::test]
async fn the_number_of_appends_in_doubt_is_bounded() {
    let fixture = LogFixture::new().await;
    let mut writer = fixture.writer(Arc::new(Tails::new(1_000)));
    let lost: Vec<_> = (0..1_024).map(|_| fixture.message(id())).collect();
    writer.add_in_doubt(&lost.iter().map(without_caller).collect::<Vec<_>>());
    let newer = fixture.message(id());
    let refused = append_with(&mut writer, vec![newer.clone()]).await;
    assert!(refused[0].is_err(), "{refused:?}");
    assert!(fixture.stored().await.is_empty(), "it was not tried");
    while !writer.in_doubt.is_empty() {
        writer.retry().await;
    }
    assert_eq!(
        seqs(&append_with(&mut writer, vec![newer]).await),
        [Some(1)]
    );
}

#[tokio::test]
async fn a_fault_at_any_step_of_a_commit_costs_only_its_connection() {
    let fixture = LogFixture::new().await;
    let faults = fixture.store.write_faults();
    faults.set_statement_timeout(Duration::from_millis(400));
    let steps = [Step::Begin, Step::Statement, Step::Commit];
    let kinds = [
        Fault::Fails,
        Fault::LosesAnswer,
        Fault::Hangs,
        Fault::HangsAfter,
    ];
    let mut expected = 0;
    for step in steps {
        for kind in kinds {
            faults.inject(step, kind);
            let results = fixture
                .append(vec![fixture.message(id()), fixture.message(id())])
                .await;
            assert!(faults.is_empty(), "{step:?} {kind:?} did not happen");
            assert_eq!(
                seqs(&results),
                [Some(expected + 1), Some(expected + 2)],
                "{step:?} {kind:?}"
            );
            expected += 2;
            let stored = fixture.stored().await;
            assert_eq!(
                stored,
                (1..=expected).collect::<Vec<_>>(),
                "{step:?} {kind:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_rollback_without_an_answer_costs_only_its_connection() {
    let fixture = LogFixture::new().await;
    let faults = fixture.store.write_faults();
    faults.set_statement_timeout(Duration::from_millis(400));
    let name = RoomName::new("General").unwrap();
    for kind in [
        Fault::Fails,
        Fault::LosesAnswer,
        Fault::Hangs,
        Fault::HangsAfter,
    ] {
        faults.inject(Step::Rollback, kind);
        let room = RoomId(random::new_id());
        // The slug is taken, so there is nothing to write.
        let made = fixture.store.create_room(room, "general", &name, 0).await;
        assert!(made.is_err() && faults.is_empty(), "{kind:?}: {made:?}");
        let results = fixture.append(vec![fixture.message(id())]).await;
        assert!(results[0].is_ok(), "{kind:?}: {results:?}");
    }
    assert_eq!(fixture.stored().await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_read_cursor_counts_the_messages_of_its_own_batch() {
    let fixture = LogFixture::new().await;
    let bob = fixture.add_member("Bob").await;
    let mut writer = fixture.writer(Arc::new(Tails::new(1_000)));
    let (message_reply, _) = oneshot::channel();
    let (reply, cursor) = oneshot::channel();
    let mut batch = vec![
        AppendRequest::ReadCursor {
            room: fixture.room,
            user: bob,
            seq: 0,
            reply,
        },
        AppendRequest::Message(fixture.message(id()), message_reply),
    ];
    writer.append(&mut batch).await;
    let cursor = cursor.await.unwrap().unwrap().unwrap();
    assert_eq!((cursor.seq, cursor.unread), (0, 1));
}

#[tokio::test]
async fn a_stream_that_another_node_has_locked_holds_back_only_its_own_messages() {
    let fixture = LogFixture::new().await;
    if !fixture.store.is_shared() {
        return println!(
            "skipped: only several nodes lock streams against each other; needs PostgreSQL"
        );
    }
    let free_room = RoomId(random::new_id());
    let name = RoomName::new("Free").unwrap();
    fixture
        .store
        .create_room(free_room, "free", &name, 0)
        .await
        .unwrap();
    let other_node = testing::open_store(&fixture.storage).await;
    let mut lock = other_node.begin().await.unwrap();
    let locked = [Stream::Room(fixture.room)];
    other_node
        .lock_streams(&mut lock, &locked, LockedRows::Wait)
        .await
        .unwrap();

    let began = Instant::now();
    let blocked: Vec<_> = (0..3).map(|_| fixture.message(id())).collect();
    let blocked = blocked.into_iter().map(|new| fixture.log.post_message(new));
    let blocked = futures::future::join_all(blocked);
    let elsewhere = || {
        let mut new = fixture.message(id());
        new.room = free_room;
        fixture.log.post_message(new)
    };
    let free = async {
        for seq in 1..=5 {
            assert_eq!(elsewhere().await.unwrap().seq, seq);
        }
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        assert!(fixture.stored().await.is_empty());
        lock.rollback().await.unwrap();
    };
    let (blocked, ()) = tokio::join!(blocked, free);
    assert_eq!(seqs(&blocked), [Some(1), Some(2), Some(3)]);
}

/// As after `SIGSTOP` between the lock and the commit.
#[tokio::test]
async fn a_node_that_stops_in_a_transaction_delays_its_streams_by_a_few_seconds() {
    let fixture = LogFixture::new().await;
    if !fixture.store.is_shared() {
        return println!(
            "skipped: only several nodes lock streams against each other; needs PostgreSQL"
        );
    }
    let other_node = testing::open_store(&fixture.storage).await;
    let mut lock = other_node.begin().await.unwrap();
    let locked = [Stream::Room(fixture.room)];
    other_node
        .lock_streams(&mut lock, &locked, LockedRows::Wait)
        .await
        .unwrap();
    let began = Instant::now();
    let posted = fixture
        .log
        .post_message(fixture.message(id()))
        .await
        .unwrap();
    assert_eq!(posted.seq, 1);
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    lock.commit().await.unwrap_err();
}
