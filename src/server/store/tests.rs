//! Guarantees on both engines: sort order, and rules under concurrent requests.

mod leases;

use super::{testing::TestStorage, *};
use crate::{
    model::{
        ClientId, MessageId, Millis, RoomId, UserId,
        call::{Media, Outcome, State},
        limits,
        message::{Content, Message, MessageText},
        room::RoomName,
        story::{Story, Urgency},
        user::{Person, Role, UserName},
    },
    server::random,
};
use clap::Parser;
use futures::future::join_all;
use std::collections::BTreeMap;

#[derive(Parser)]
struct StoreArgs {
    #[command(flatten)]
    store: StoreConfig,
}

/// More than a store has write connections.
const CONCURRENT_REQUESTS: usize = 12;

/// On PostgreSQL, as if several programs opened it.
struct StoreFixture {
    stores: Vec<Store>,
    _storage: TestStorage,
}

impl StoreFixture {
    async fn new() -> Self {
        let storage = TestStorage::new();
        let flags = std::iter::once("rialto".to_owned()).chain(storage.arguments());
        let config = StoreArgs::parse_from(flags).store;
        let mut stores = vec![Store::open(&config).await.unwrap()];
        if stores[0].engine == Engine::PostgreSQL {
            stores.push(Store::open(&config).await.unwrap());
        }
        Self {
            stores,
            _storage: storage,
        }
    }

    fn store(&self, n: usize) -> &Store {
        &self.stores[n % self.stores.len()]
    }

    async fn person(&self, name: &str) -> UserId {
        self.try_person(0, name).await.unwrap()
    }

    async fn try_person(&self, n: usize, name: &str) -> Option<UserId> {
        let store = self.store(n);
        let person = Person {
            id: UserId(random::new_id()),
            name: UserName::new(name).unwrap(),
            role: Role::Guest,
        };
        let mut tx = store.begin().await.unwrap();
        if !store.create_user(&mut tx, &person, None, 0).await.unwrap() {
            return None;
        }
        store
            .join_public_rooms(&mut tx, person.id, 0)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        Some(person.id)
    }

    async fn friends(&self) -> (UserId, UserId, RoomId) {
        let (ada, bob) = (self.person("Ada").await, self.person("Bob").await);
        let made = self
            .store(0)
            .find_or_create_direct_room(RoomId(random::new_id()), ada, bob, 0);
        (ada, bob, made.await.unwrap().0)
    }

    async fn room(&self, n: usize, name: &str) -> Option<RoomId> {
        let id = RoomId(random::new_id());
        let made = self
            .store(n)
            .create_room(id, name, &RoomName::new(name).unwrap(), 0)
            .await;
        made.unwrap().map(|_| id)
    }
}

async fn run_concurrently<T, F: Future<Output = T>>(ask: impl Fn(usize) -> F) -> Vec<T> {
    join_all((0..CONCURRENT_REQUESTS).map(ask)).await
}

#[test]
fn placeholders_count_through_all_rows() {
    let postgres = Engine::PostgreSQL;
    assert_eq!(postgres.placeholders(2, 2), "($1, $2), ($3, $4)");
    assert_eq!(postgres.placeholders(1, 3), "($1, $2, $3)");
    assert_eq!(Engine::SQLite.placeholders(2, 2), "(?, ?), (?, ?)");
}

#[tokio::test]
async fn names_and_topics_are_sorted_by_their_bytes() {
    let fixture = StoreFixture::new().await;
    let store = fixture.store(0);
    let room = fixture.room(0, "general").await.unwrap();
    for name in ["zoe", "Émile", "Zoe B", "ada", "_x", "Ada B"] {
        fixture.person(name).await;
    }
    let members = store.list_members(room).await.unwrap();
    let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["Ada B", "Zoe B", "_x", "ada", "zoe", "Émile"]);
    let mut tx = store.begin().await.unwrap();
    store.create_stream(&mut tx, Stream::News).await.unwrap();
    for (seq, topic) in (1..).zip(["b", "Ä", "a", "B"]) {
        let written = Story {
            id: crate::model::StoryId(random::new_id()),
            slug: format!("story-{seq}"),
            headline: String::new(),
            summary: String::new(),
            html: String::new(),
            topic: topic.to_owned(),
            urgency: Urgency::Normal,
            byline: String::new(),
            at: 0,
            seq,
        };
        store
            .create_story(&mut tx, &written, "", None)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(store.list_topics().await.unwrap(), ["B", "a", "b", "Ä"]);
}

#[tokio::test]
async fn a_name_that_many_want_at_once_goes_to_one() {
    let fixture = StoreFixture::new().await;
    let made =
        run_concurrently(|n| fixture.try_person(n, if n % 2 == 0 { "Ada" } else { "ADA" })).await;
    assert_eq!(made.iter().flatten().count(), 1);
    let mut people = Vec::new();
    for n in 0..CONCURRENT_REQUESTS {
        people.push(fixture.person(&format!("Person {n}")).await);
    }
    let name = UserName::new("Grace").unwrap();
    let renamed = run_concurrently(|n| fixture.store(n).update_name(people[n], &name)).await;
    assert_eq!(
        renamed
            .into_iter()
            .filter(|done| *done.as_ref().unwrap())
            .count(),
        1
    );
}

#[tokio::test]
async fn of_passwords_set_at_once_one_is_the_first() {
    let fixture = StoreFixture::new().await;
    let ada = fixture.person("Ada").await;
    let hashes: Vec<_> = (0..CONCURRENT_REQUESTS)
        .map(|n| format!("hash {n}"))
        .collect();
    let set = run_concurrently(|n| {
        let store = fixture.store(n);
        store.update_password(ada, None, &hashes[n], "session")
    });
    let set = set.await.into_iter().map(Result::unwrap);
    let first: Vec<_> = set.enumerate().filter(|(_, set)| *set).collect();
    assert_eq!(first.len(), 1, "{first:?}");
    let (first, _) = first[0];
    let store = fixture.store(0);
    let known = store.find_password_hash(ada).await.unwrap();
    assert_eq!(known.as_ref(), Some(&hashes[first]));
    let replaced = store
        .update_password(ada, known.as_deref(), "another", "session")
        .await;
    assert!(replaced.unwrap());
}

#[tokio::test]
async fn two_people_have_one_direct_room_however_many_ask_for_it() {
    let fixture = StoreFixture::new().await;
    let (ada, bob) = (fixture.person("Ada").await, fixture.person("Bob").await);
    let found = run_concurrently(|n| {
        let (one, other) = if n % 2 == 0 { (ada, bob) } else { (bob, ada) };
        fixture
            .store(n)
            .find_or_create_direct_room(RoomId(random::new_id()), one, other, 0)
    });
    let found: Vec<_> = found.await.into_iter().map(Result::unwrap).collect();
    assert!(found.iter().all(|(room, _)| *room == found[0].0));
    assert_eq!(found.iter().filter(|(_, made)| made.is_some()).count(), 1);
    assert_eq!(
        fixture
            .store(0)
            .list_members(found[0].0)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn unread_messages_are_counted_as_far_as_anybody_wants_to_know() {
    let fixture = StoreFixture::new().await;
    let store = fixture.store(0);
    let (ada, bob, room) = fixture.friends().await;
    let author = store.find_user(bob).await.unwrap().unwrap();
    let messages: Vec<_> = (1..=limits::MAX_UNREAD_COUNT + 7)
        .map(|seq| Message {
            id: MessageId(random::new_id()),
            room,
            seq,
            author: author.clone(),
            at: 0,
            content: Content::Text {
                text: MessageText::new("Hello").unwrap(),
            },
        })
        .collect();
    let mut tx = store.begin().await.unwrap();
    store.create_messages(&mut tx, &messages).await.unwrap();
    let newest = messages.last().unwrap().seq;
    store
        .update_heads(&mut tx, &BTreeMap::from([(Stream::Room(room), newest)]))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let unread = async |user| store.list_rooms(user).await.unwrap()[0].unread;
    assert_eq!(unread(ada).await, limits::MAX_UNREAD_COUNT);
    assert_eq!(unread(bob).await, 0, "own messages do not count as unread");
    let mut tx = store.begin().await.unwrap();
    let read = store
        .update_read_cursor(&mut tx, room, ada, newest - 3)
        .await;
    let read = read.unwrap().unwrap();
    assert_eq!((read.seq, read.unread, read.head), (newest - 3, 3, newest));
    tx.commit().await.unwrap();
    assert_eq!(unread(ada).await, 3);
}

#[tokio::test]
async fn everybody_is_in_every_public_room_whoever_comes_at_the_same_moment() {
    let fixture = StoreFixture::new().await;
    for round in 0..4 {
        let made = run_concurrently(|n| {
            let fixture = &fixture;
            async move {
                if n % 3 == 0 {
                    fixture.room(n, &format!("room-{round}-{n}")).await.unwrap();
                } else {
                    fixture
                        .try_person(n, &format!("Person {round} {n}"))
                        .await
                        .unwrap();
                }
            }
        });
        made.await;
    }
    let store = fixture.store(0);
    let people = store.list_users(1_000).await.unwrap();
    assert_eq!(people.len(), 4 * 8);
    for person in people {
        let rooms = store.list_rooms(person.id).await.unwrap();
        assert_eq!(
            rooms.len(),
            4 * 4,
            "{} is a member of every public room",
            person.name
        );
    }
}

#[tokio::test]
async fn of_all_who_hold_the_link_one_becomes_the_administrator() {
    let fixture = StoreFixture::new().await;
    fixture
        .store(0)
        .replace_secret("claim", "hash", 0)
        .await
        .unwrap();
    let mut people = Vec::new();
    for n in 0..CONCURRENT_REQUESTS {
        people.push(fixture.person(&format!("Person {n}")).await);
    }
    let claim = async |n: usize, hash: &'static str| {
        let store = fixture.store(n);
        let mut tx = store.begin().await.unwrap();
        let done = store.claim_admin(&mut tx, "claim", hash, people[n]).await;
        tx.commit().await.unwrap();
        done.unwrap()
    };
    let claimed = run_concurrently(|n| claim(n, "hash")).await;
    assert_eq!(claimed.into_iter().filter(|done| *done).count(), 1);
    fixture
        .store(1)
        .replace_secret("claim", "late", 0)
        .await
        .unwrap();
    assert!(!claim(1, "late").await);
    let people = fixture.store(0).list_users(100).await.unwrap();
    assert_eq!(
        people
            .iter()
            .filter(|person| person.role == Role::Admin)
            .count(),
        1
    );
}

#[tokio::test]
async fn a_call_that_has_ended_stays_ended() {
    let fixture = StoreFixture::new().await;
    let store = fixture.store(0);
    let (ada, bob, room) = fixture.friends().await;
    let call = |state: State, ended_at: Option<Millis>| CallRow {
        id: crate::model::CallId(uuid::Uuid::nil()),
        room,
        caller: ada,
        callee: bob,
        media: Media::Voice,
        state,
        caller_client: ClientId(uuid::Uuid::nil()),
        callee_client: None,
        started_at: 1,
        answered_at: None,
        connected_at: None,
        ended_at,
    };
    let ended = call(
        State::Ended {
            outcome: Outcome::Declined,
        },
        Some(2),
    );
    let ringing = call(State::Ringing, None);
    let save = async |call: &CallRow| store.save_call(Term::Sole, call).await.unwrap();
    assert_eq!(save(&ringing).await, Saved::Written);
    assert_eq!(save(&ended).await, Saved::Written);
    let late = call(State::Connecting, None);
    assert_eq!(save(&late).await, Saved::AlreadyEnded);
    assert_eq!(store.find_call(ended.id).await.unwrap(), Some(ended));
    assert_eq!(store.list_open_calls().await.unwrap(), []);
}

#[tokio::test]
async fn what_no_store_can_hold_is_simply_not_there() {
    let fixture = StoreFixture::new().await;
    let store = fixture.store(0);
    assert_eq!(store.find_story("a\0b").await.unwrap(), None);
    assert_eq!(store.find_room_id("a\0b").await.unwrap(), None);
    assert_eq!(
        store.list_stories(Some("\0"), i64::MAX, 1).await.unwrap(),
        []
    );
}
