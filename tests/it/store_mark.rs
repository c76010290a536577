//! A store that went back, because an older copy was put in its place by hand, gives every stream a new epoch.

use crate::support::{
    Browser, HelloFrame, Publisher, Server, SseClient, TestDatabase, TestStorage, eventually,
    needs_postgresql, test_storage::run_statement,
};
use rialto::{
    model::{Cursor, Epoch, RoomId, Seq, room::RoomSummary},
    protocol::ws::ServerFrame,
};
use std::{fs, path::Path, sync::Arc};

const MARK: &str = "store-mark.json";

/// Whether a page that has seen `seq` is told that it missed nothing else.
async fn is_recovered(browser: &Browser, room: RoomId, epoch: &Epoch, seq: Seq) -> bool {
    let cursor = Cursor {
        epoch: epoch.clone(),
        seq,
    };
    let mut ws = browser
        .connect_with(HelloFrame::with_cursor(room, cursor))
        .await;
    let frames = ws.frames_until_pong().await;
    let answer = frames.iter().find_map(|frame| match frame {
        ServerFrame::Resumed {
            room: of,
            recovered,
            ..
        } if *of == room => Some(*recovered),
        _ => None,
    });
    answer.expect("the cursor is answered")
}

async fn send_messages(browser: &Browser, texts: &[&str]) -> RoomSummary {
    let mut ws = browser.connect().await;
    let general = ws.room("general").clone();
    for text in texts {
        ws.send_message(general.id, text).await;
    }
    general
}

fn copy_store(from: &Path, to: &Path) {
    for name in ["rialto.sqlite", "rialto.sqlite-wal", "rialto.sqlite-shm"] {
        let _ = fs::remove_file(to.join(name));
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

async fn wait_for_mark(server: &Server, events: Seq) {
    let path = server.data_dir().join(MARK);
    let wanted = format!("\"events\":{events}}}");
    let is_there =
        async || fs::read_to_string(&path).is_ok_and(|mark| mark.trim_end().ends_with(&wanted));
    eventually("the store is marked", is_there).await;
}

#[tokio::test]
async fn a_page_that_saw_more_than_a_copy_that_was_put_back_fetches_anew() {
    let mut server = Server::start_in(TestStorage::with_database(None), |_| {}).await;
    let ada = Browser::join(&server, "Ada").await;
    let publisher = Publisher::create(&server).await;
    let news = publisher.publish("Before the copy").await;
    let general = send_messages(&ada, &["1", "2", "3"]).await;
    let news_epoch = SseClient::open(&server).await.wait_for_hello().await.epoch;
    server.stop().await;
    let copy = tempfile::tempdir().unwrap();
    copy_store(server.data_dir(), copy.path());

    server.restart().await;
    let seen = send_messages(&ada, &["4", "5", "6"]).await;
    assert_eq!(seen.epoch, general.epoch, "a restart keeps the epoch");
    server.stop().await;
    copy_store(copy.path(), server.data_dir());

    server.restart().await;
    let now = send_messages(&ada, &["new 4", "new 5", "new 6"]).await;
    assert_ne!(now.epoch, general.epoch);
    assert!(!is_recovered(&ada, general.id, &general.epoch, 6).await);
    assert!(is_recovered(&ada, general.id, &now.epoch, 6).await);
    let hello = SseClient::open(&server).await.wait_for_hello().await;
    assert_ne!(hello.epoch, news_epoch);
    assert_eq!(hello.head, news.seq, "the news are as of the copy");
}

#[tokio::test]
async fn a_copy_is_noticed_after_the_server_was_killed_once_it_had_marked_the_store() {
    let mut server = Server::start_in(TestStorage::with_database(None), |_| {}).await;
    let ada = Browser::join(&server, "Ada").await;
    let general = send_messages(&ada, &["1", "2", "3"]).await;
    server.stop().await;
    let copy = tempfile::tempdir().unwrap();
    copy_store(server.data_dir(), copy.path());
    server.restart().await;
    send_messages(&ada, &["4", "5", "6"]).await;
    // The room General is an event too.
    wait_for_mark(&server, 7).await;
    server.kill().await;
    copy_store(copy.path(), server.data_dir());
    // The first command that opens the store notices it.
    assert!(server.run_cli(&["user", "list"]).await.status.success());
    server.restart().await;
    assert!(!is_recovered(&ada, general.id, &general.epoch, 3).await);
}

#[tokio::test]
async fn a_store_that_is_copied_without_its_mark_is_noticed() {
    let mut server = Server::start_in(TestStorage::with_database(None), |_| {}).await;
    let ada = Browser::join(&server, "Ada").await;
    let general = send_messages(&ada, &["1", "2", "3"]).await;
    server.stop().await;
    server.restart().await;
    assert!(is_recovered(&ada, general.id, &general.epoch, 3).await);
    server.stop().await;
    fs::remove_file(server.data_dir().join(MARK)).unwrap();
    server.restart().await;
    assert!(!is_recovered(&ada, general.id, &general.epoch, 3).await);
}

#[tokio::test]
async fn a_server_that_is_killed_after_a_commit_goes_on_with_its_epochs() {
    let mut server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut sent = 0;
    let mut epoch = None;
    for _ in 0..5 {
        let general = send_messages(&ada, &["one more"]).await;
        let known = epoch.get_or_insert_with(|| general.epoch.clone());
        assert_eq!(general.epoch, *known);
        sent += 1;
        server.restart().await;
        assert!(is_recovered(&ada, general.id, known, sent).await);
    }
}

#[tokio::test]
async fn a_database_that_was_put_back_is_noticed_by_the_node_that_saw_more() {
    needs_postgresql!();
    let database = Arc::new(TestDatabase::new());
    let mut server =
        Server::start_in(TestStorage::with_database(Some(database.clone())), |_| {}).await;
    let ada = Browser::join(&server, "Ada").await;
    let general = send_messages(&ada, &["1", "2", "3"]).await;
    server.stop().await;
    let copy = Arc::new(TestDatabase::new());
    copy_database(&database, &copy);
    server.restart().await;
    send_messages(&ada, &["4", "5", "6"]).await;
    server.stop().await;
    server.use_database(&copy);
    server.restart().await;
    let now = send_messages(&ada, &["new 4", "new 5", "new 6"]).await;
    assert_ne!(now.epoch, general.epoch);
    assert!(!is_recovered(&ada, general.id, &general.epoch, 6).await);

    // A second node, with a folder of its own, does not renew them again.
    let other = Server::start_in(TestStorage::with_database(Some(copy)), |_| {}).await;
    let there = ada.at_node(&other);
    assert!(is_recovered(&there, general.id, &now.epoch, 6).await);
}

fn copy_database(from: &TestDatabase, to: &TestDatabase) {
    let name = |database: &TestDatabase| {
        let (_, name) = database.url.rsplit_once('/').unwrap();
        name.to_owned()
    };
    let (place, _) = from.url.rsplit_once('/').unwrap();
    let admin = format!("{place}/postgres");
    for sql in [
        format!("DROP DATABASE {}", name(to)),
        format!("CREATE DATABASE {} TEMPLATE {}", name(to), name(from)),
    ] {
        run_statement(&admin, sql).unwrap();
    }
}
