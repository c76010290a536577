//! A database that is reachable but does not answer, and one whose answers are lost.

use crate::support::{
    Browser, HelloFrame, Publisher, Server, SseClient, TestDatabase, TestStorage, WsClient,
    message_id, needs_postgresql,
    proxy::{Passing, Proxy, address_of},
    ws_client,
};
use rialto::{
    model::{Cursor, MessageId, RoomId, Seq, story::Story},
    protocol::ws::{ErrorCode, ServerFrame},
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Ten seconds of retries, and the retry of what is in doubt.
const REFUSAL_BOUND: Duration = Duration::from_secs(14);

struct Fixture {
    server: Server,
    proxy: Proxy,
    // Dropped after the server.
    database: TestDatabase,
}

impl Fixture {
    async fn start() -> Self {
        let database = TestDatabase::new();
        let proxy = Proxy::start(address_of(&database.url)).await;
        let url = proxy.url_of(&database.url);
        let server = Server::start_in(TestStorage::with_database(None), move |command| {
            command.args(["--database-url", &url]);
        })
        .await;
        Self {
            server,
            proxy,
            database,
        }
    }

    async fn create_publisher(&self) -> Publisher {
        let arguments = [
            "token",
            "create",
            "Gazette",
            "--database-url",
            &self.database.url,
        ];
        let created = self.server.run_cli(&arguments).await;
        let token = String::from_utf8(created.stdout).unwrap();
        let browser = Browser::anonymous(&self.server, "Press");
        Publisher::with_token(browser, token.trim().to_owned())
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_told_in_time_and_does_not_prevent_a_stop() {
    needs_postgresql!();
    let mut fixture = Fixture::start().await;
    let ada = Browser::join(&fixture.server, "Ada").await;
    let mut ws = ada.connect().await;
    let general = ws.room("general").clone();
    ws.send_message(general.id, "before").await;

    fixture.proxy.pass(Passing::Nothing);
    let (id, began) = (message_id(), Instant::now());
    let refused = tokio::time::timeout(REFUSAL_BOUND, try_send(&mut ws, id, general.id)).await;
    assert_eq!(refused, Ok(None), "refused in time");
    println!("refused after {:?}", began.elapsed());

    fixture.proxy.pass(Passing::Everything);
    // Settles under the same id, whether the first attempt took effect or not.
    let seq = loop {
        if let Some(seq) = try_send(&mut ws, id, general.id).await {
            break seq;
        }
    };
    assert_eq!(seq, 2);
    let cursor = Cursor {
        epoch: general.epoch,
        seq: 0,
    };
    let mut again = ada
        .connect_with(HelloFrame::with_cursor(general.id, cursor))
        .await;
    let frames = again.frames_until_pong().await;
    let texts: Vec<_> = frames
        .iter()
        .filter_map(ws_client::as_message)
        .map(ws_client::text_of)
        .collect();
    assert_eq!(texts, ["before", "meanwhile"]);

    fixture.proxy.pass(Passing::Nothing);
    ws.send(&ws_client::message_frame(message_id(), general.id, "late"))
        .await;
    let began = Instant::now();
    assert!(fixture.server.stop().await.success());
    println!("stopped after {:?}", began.elapsed());
}

/// None when refused as unavailable.
async fn try_send(ws: &mut WsClient, id: MessageId, room: RoomId) -> Option<Seq> {
    ws.send(&ws_client::message_frame(id, room, "meanwhile"))
        .await;
    loop {
        match ws.next_frame().await.unwrap() {
            ServerFrame::Sent { id: of, seq, .. } if of == id => return Some(seq),
            ServerFrame::Refused(refusal)
                if refusal.id == Some(id) && refusal.code == ErrorCode::Unavailable =>
            {
                return None;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_acknowledged_and_stored_once() {
    needs_postgresql!();
    let fixture = Fixture::start().await;
    let ada = Browser::join(&fixture.server, "Ada").await;
    let bob = Browser::join(&fixture.server, "Bob").await;
    let (mut ada_ws, mut bob_ws) = (ada.connect().await, bob.connect().await);
    let general = ada_ws.room("general").clone();
    for n in 1..=3 {
        let sent = async { ada_ws.send_message(general.id, &format!("{n}")).await };
        let (seq, ()) = tokio::join!(sent, fixture.proxy.lose_commit());
        assert_eq!(seq, n);
        assert_eq!(bob_ws.next_message(general.id).await.seq, n);
    }
    let cursor = Cursor {
        epoch: general.epoch,
        seq: 0,
    };
    let mut again = bob
        .connect_with(HelloFrame::with_cursor(general.id, cursor))
        .await;
    let frames = again.frames_until_pong().await;
    let seqs: Vec<_> = frames
        .iter()
        .filter_map(ws_client::as_message)
        .map(|message| message.seq)
        .collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[tokio::test]
async fn a_story_that_was_refused_and_is_committed_reaches_readers_without_another_request() {
    needs_postgresql!();
    let fixture = Fixture::start().await;
    let publisher = fixture.create_publisher().await;
    let mut reader = SseClient::open(&fixture.server).await;
    reader.wait_for_hello().await;
    let story = json!({ "headline": "In doubt", "topic": "General" });
    let request = || {
        let request = publisher.story_request(&story);
        request.header("idempotency-key", "1").send()
    };

    fixture.proxy.pass(Passing::NothingAfterCommit);
    let refused = tokio::time::timeout(REFUSAL_BOUND, request()).await;
    let refused = refused.expect("answered in time").unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));

    fixture.proxy.pass(Passing::Everything);
    let told = reader.next_story().await;
    assert_eq!(told.headline, "In doubt");
    let repeated: Story = request().await.unwrap().json().await.unwrap();
    assert_eq!((repeated.id, repeated.seq), (told.id, told.seq));
    publisher.publish("Afterwards").await;
    assert_eq!(reader.next_story().await.headline, "Afterwards", "once");
}
