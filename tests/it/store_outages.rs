//! A database that is reachable but does not answer, and one whose answers are lost.

use crate::support::{
    Browser, HelloFrame, Server, TestDatabase, TestStorage, WsClient, message_id, needs_postgresql,
    proxy::{Passing, Proxy, address_of},
    ws_client,
};
use rialto::{
    model::{Cursor, MessageId, RoomId, Seq},
    protocol::ws::{ErrorCode, ServerFrame},
};
use std::time::{Duration, Instant};

/// Ten seconds of retries, and the retry of what is in doubt.
const REFUSAL_BOUND: Duration = Duration::from_secs(14);

struct Fixture {
    server: Server,
    proxy: Proxy,
    // Dropped after the server.
    _database: TestDatabase,
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
            _database: database,
        }
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
