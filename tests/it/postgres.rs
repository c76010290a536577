//! The store on PostgreSQL: migration, several servers on one database, outages.

use crate::files;
use crate::support::{
    Browser, HelloFrame, Publisher, Server, SseClient, TestDatabase, TestStorage, WsClient,
    call_id, message_id, needs_postgresql,
    postgres::Postgres,
    server::{ADMIN_PASSWORD, run_cli},
    with_timeout, ws_client,
};
use futures::future::join_all;
use rialto::{
    model::{
        Cursor, MessageId, RoomId, Seq,
        call::{ClientAction, Media},
        message::{Content, Message},
        user::Role,
    },
    protocol::ws::{ClientFrame, ErrorCode, ServerFrame},
};
use std::{collections::BTreeSet, process::Output, sync::Arc, time::Duration};
use tokio::sync::mpsc;

fn output_text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// As replayed to a new connection.
async fn room_history(browser: &Browser, room: RoomId, cursor: Cursor) -> Vec<Message> {
    let mut ws = browser
        .connect_with(HelloFrame::with_cursor(room, cursor))
        .await;
    let frames = ws.frames_until_pong().await;
    let resumed = frames.iter().any(|frame| {
        matches!(frame, ServerFrame::Resumed { room: of, recovered: true, .. } if *of == room)
    });
    assert!(resumed, "the cursor was not recovered: {frames:?}");
    frames
        .iter()
        .filter_map(ws_client::as_message)
        .cloned()
        .collect()
}

/// Cancelled by its caller. Returns when the callee has received the outcome.
async fn make_unanswered_call(from: &mut WsClient, to: &mut WsClient) {
    let id = call_id();
    let (callee, media) = (to.me().id, Media::Voice);
    let call_frame = |action| ClientFrame::Call { call: id, action };
    from.send(&call_frame(ClientAction::Start { to: callee, media }))
        .await;
    let rings = |frame: &ServerFrame| {
        matches!(frame, ServerFrame::Call { call } if call.id == id).then_some(())
    };
    to.wait_for(rings).await;
    from.send(&call_frame(ClientAction::HangUp)).await;
    let has_outcome = |frame: &ServerFrame| {
        let content = ws_client::as_message(frame).map(|message| &message.content);
        matches!(content, Some(Content::Call { call, .. }) if *call == id).then_some(())
    };
    to.wait_for(has_outcome).await;
}

/// Returns the file's download path.
async fn send_file(ws: &mut WsClient, room: RoomId, data: &[u8]) -> String {
    match files::upload(ws, room, "bridge.txt", data).await.content {
        Content::File { file } => format!("/files/{}/{}", file.hash, file.name),
        other => panic!("not a file message: {other:?}"),
    }
}

/// All must be copied, also those added later.
fn migrated_tables() -> Vec<String> {
    let mut tables = Vec::new();
    for engine in ["sqlite", "postgres"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("migrations")
            .join(engine);
        for file in std::fs::read_dir(folder).unwrap() {
            let sql = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let made = sql
                .lines()
                .filter_map(|line| line.strip_prefix("CREATE TABLE "));
            tables.extend(made.map(|rest| rest.split_whitespace().next().unwrap().to_owned()));
        }
    }
    assert!(tables.len() >= 26, "tables are missing: {tables:?}");
    tables
}

fn migration_arguments(server: &Server, database: &TestDatabase) -> Vec<String> {
    let folder = server.data_dir().to_str().unwrap();
    let arguments = [
        "migrate-store",
        "--data",
        folder,
        "--database-url",
        &database.url,
    ];
    arguments.map(str::to_owned).to_vec()
}

async fn assert_migration_refused(server: &Server, database: &TestDatabase, why: &str) {
    let refused = run_cli(migration_arguments(server, database)).await;
    let words = output_text(&refused);
    assert!(!refused.status.success() && words.contains(why), "{words}");
}

#[tokio::test]
async fn a_store_that_is_moved_goes_on_where_it_was() {
    needs_postgresql!();
    let mut server = Server::start_in(TestStorage::with_database(None), |command| {
        command.args(["--limits", "messages=1000"]);
    })
    .await;
    let admin = server.create_administrator().await;
    let (ada, bob) = (
        Browser::join(&server, "Ada").await,
        Browser::join(&server, "Bob").await,
    );
    admin.post("/fn/create-room", &[("name", "Bridge")]).await;
    let (mut ws, mut bob_ws) = (ada.connect().await, bob.connect().await);
    let general = ws.room("general").clone();
    for n in 0..250 {
        ws.send_message(general.id, &format!("Message {n}: čau, ☕"))
            .await;
    }
    let file = send_file(&mut ws, general.id, b"the plans").await;
    make_unanswered_call(&mut ws, &mut bob_ws).await;
    let publisher = Publisher::create(&server).await;
    let story = publisher
        .publish_in_topic("Court", "The doge resigns")
        .await;
    publisher.publish("Élan vital").await;
    let cursor = Cursor {
        epoch: general.epoch.clone(),
        seq: 0,
    };
    let before = room_history(&bob, general.id, cursor.clone()).await;
    let news_hello = SseClient::open(&server).await.wait_for_hello().await;

    let database = Arc::new(TestDatabase::new());
    assert_migration_refused(&server, &database, "is in use by another Rialto (process").await;
    server.stop().await;
    let moved = run_cli(migration_arguments(&server, &database)).await;
    assert!(moved.status.success(), "{}", output_text(&moved));
    let lines = output_text(&moved);
    let rows = |table: &str| {
        let line = lines
            .lines()
            .find(|line| line.split_whitespace().next() == Some(table));
        let line = line.unwrap_or_else(|| panic!("no line for {table} in {lines}"));
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    for table in migrated_tables() {
        rows(&table);
    }
    assert_eq!(
        (
            rows("users"),
            rows("stories"),
            rows("files"),
            rows("attachments")
        ),
        (3, 2, 1, 1)
    );
    assert_eq!(
        (rows("rooms"), rows("messages"), rows("calls")),
        (3, 252, 1)
    );
    assert!(
        lines.contains("Next: start") && !lines.contains(&database.url),
        "{lines}"
    );

    // A second migration is refused.
    assert_migration_refused(&server, &database, "is not empty").await;

    server.use_database(&database);
    server.restart().await;
    assert!(!server.has_printed_claim(), "an administrator exists");
    assert_eq!(admin.connect().await.me().role, Role::Admin);
    assert_eq!(room_history(&bob, general.id, cursor).await, before);
    let mut ws = ada.connect().await;
    assert!(ws.welcome().rooms.iter().any(|room| room.slug == "bridge"));
    assert_eq!(
        ws.send_message(general.id, "and on").await,
        general.head + 252
    );
    assert!(
        ada.html("/chat/general")
            .await
            .contains("Message 249: čau, ☕")
    );
    assert!(ada.html("/calls").await.contains("Bob"));
    assert!(
        ada.html(&format!("/news/{}", story.slug))
            .await
            .contains("The doge resigns")
    );
    assert_eq!(ada.get(&file).await.bytes().await.unwrap(), "the plans");
    let mut reader =
        SseClient::open_with(&server, "", Some(&format!("{}:1", news_hello.epoch.0))).await;
    let _ = reader.wait_for_hello().await;
    assert_eq!(publisher.publish("After the move").await.seq, 3);
}

#[tokio::test]
async fn nothing_is_moved_into_a_database_that_is_in_use() {
    needs_postgresql!();
    let mut server = Server::start_in(TestStorage::with_database(None), |_| {}).await;
    Browser::join(&server, "Ada").await;
    server.stop().await;
    let database = Arc::new(TestDatabase::new());
    let mut there =
        Server::start_in(TestStorage::with_database(Some(database.clone())), |_| {}).await;
    Browser::join(&there, "Grace").await;
    there.stop().await;
    let refused = run_cli(migration_arguments(&server, &database)).await;
    let words = output_text(&refused);
    assert!(
        !refused.status.success() && words.contains("is not empty"),
        "{words}"
    );
    let users = there.run_cli(&["user", "list"]).await;
    assert_eq!(output_text(&users).trim(), "guest\tGrace");
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_explained_without_its_password() {
    needs_postgresql!();
    let database = TestDatabase::new();
    let (before, place) = database.url.split_once('@').unwrap();
    let (_, password) = before.rsplit_once(':').unwrap();
    let (host, _) = place.split_once('/').unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unused_address = listener.local_addr().unwrap();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for (url, words) in [
        (
            format!("postgres://rialto:open-sesame@{place}"),
            "refuses the user \"rialto\"",
        ),
        (
            format!("postgres://rialto:{password}@{unused_address}/rialto"),
            "PostgreSQL does not answer at",
        ),
        (
            format!("postgres://rialto:{password}@{host}/nowhere"),
            "createdb",
        ),
        (
            format!("sqlite:{folder}/rialto.sqlite?{password}"),
            "leave it out",
        ),
        (
            format!("mysql://rialto:{password}@{place}"),
            "Rialto cannot use mysql",
        ),
        (
            format!("rialto:{password}@{place}"),
            "postgres://user:password@host:5432/database",
        ),
    ] {
        for arguments in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["user", "list"],
            &["token", "create", "Gazette"],
            &["news", "publish", "High water"],
        ] {
            let given = ["--data", folder, "--database-url", &url];
            let output = run_cli(arguments.iter().chain(&given)).await;
            let text = output_text(&output);
            assert!(
                !output.status.success() && text.contains(words),
                "{arguments:?} {url}: {text}"
            );
            assert!(
                !text.contains(password) && !text.contains("open-sesame"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn two_servers_on_one_database_share_one_log() {
    const EACH: usize = 60;
    needs_postgresql!();
    let database = Arc::new(TestDatabase::new());
    let one = Server::start_in(TestStorage::with_database(Some(database.clone())), |_| {}).await;
    let other = Server::start_in(TestStorage::with_database(Some(database)), |_| {}).await;
    let ada = Browser::join(&one, "Ada").await;
    let general = ada.connect().await.room("general").clone();
    let mut senders = Vec::new();
    for (server, names) in [(&one, ["Ann", "Ben"]), (&other, ["Cat", "Dan"])] {
        for name in names {
            let mut ws = Browser::join(server, name).await.connect().await;
            assert_eq!(
                ws.room("general").id,
                general.id,
                "both servers have the same room"
            );
            senders.push(tokio::spawn(async move {
                let ids: Vec<MessageId> = (0..EACH).map(|_| message_id()).collect();
                for id in &ids {
                    ws.send(&ws_client::message_frame(*id, general.id, "at once"))
                        .await;
                }
                let mut sent = Vec::new();
                for id in ids {
                    sent.push((id, ws.wait_for_ack(id).await.0));
                }
                sent
            }));
        }
    }
    let mut sent = Vec::new();
    for sender in senders {
        let theirs = with_timeout("all messages are acknowledged", sender)
            .await
            .unwrap();
        assert!(
            theirs.is_sorted_by_key(|(_, seq)| *seq),
            "each client's messages are in order: {theirs:?}"
        );
        sent.extend(theirs);
    }
    sent.sort_by_key(|(_, seq)| *seq);
    let seqs: Vec<Seq> = sent.iter().map(|(_, seq)| *seq).collect();
    assert_eq!(
        seqs,
        (1..).take(4 * EACH).collect::<Vec<_>>(),
        "without gaps or duplicates"
    );
    let cursor = Cursor {
        epoch: general.epoch,
        seq: 0,
    };
    let kept = room_history(&ada, general.id, cursor).await;
    let kept: Vec<_> = kept
        .iter()
        .map(|message| (message.id, message.seq))
        .collect();
    assert_eq!(kept, sent);
}

#[tokio::test]
async fn of_all_who_claim_at_once_through_two_servers_one_becomes_the_administrator() {
    needs_postgresql!();
    let database = Arc::new(TestDatabase::new());
    let one = Server::start_in(TestStorage::with_database(Some(database.clone())), |_| {}).await;
    let other = Server::start_in(TestStorage::with_database(Some(database)), |_| {}).await;
    let link = other.claim_path().await;
    let (_, claim) = link.split_once("claim=").unwrap();
    let claims = (0..6).map(|n| {
        let name = format!("Claimant {n}");
        let browser = Browser::anonymous(if n % 2 == 0 { &one } else { &other }, &name);
        async move {
            let form = [
                ("claim", claim),
                ("name", &name),
                ("password", ADMIN_PASSWORD),
            ];
            browser.post("/fn/claim-admin", &form).await
        }
    });
    join_all(claims).await;
    let users = output_text(&one.run_cli(&["user", "list"]).await);
    assert_eq!(users.matches("admin\t").count(), 1, "{users}");
}

/// Sends until all is acknowledged; repeats what is refused as unavailable, under the same id.
struct RetryingWriter {
    ws: WsClient,
    room: RoomId,
    acknowledged: Vec<(MessageId, Seq)>,
    received_seqs: Vec<Seq>,
    refusal_count: usize,
}

impl RetryingWriter {
    const MESSAGE_COUNT: usize = 40;

    async fn run(mut self, progress: mpsc::UnboundedSender<bool>) -> Self {
        for n in 0..Self::MESSAGE_COUNT {
            let id = message_id();
            while !self.try_send(id, &format!("Message {n}")).await {
                self.refusal_count += 1;
                progress.send(false).unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            progress.send(true).unwrap();
        }
        self
    }

    /// False when refused as unavailable.
    async fn try_send(&mut self, id: MessageId, text: &str) -> bool {
        self.ws
            .send(&ws_client::message_frame(id, self.room, text))
            .await;
        loop {
            match self.ws.next_frame().await.unwrap() {
                ServerFrame::Sent { id: of, seq, .. } if of == id => {
                    self.acknowledged.push((id, seq));
                    return true;
                }
                ServerFrame::Refused(refusal)
                    if refusal.id == Some(id) && refusal.code == ErrorCode::Unavailable =>
                {
                    assert!(
                        refusal.reason.contains("again"),
                        "the reason says what to do: {refusal:?}"
                    );
                    return false;
                }
                ServerFrame::Refused(refusal) => panic!("{refusal:?}"),
                frame => self.on_frame(&frame),
            }
        }
    }

    fn on_frame(&mut self, frame: &ServerFrame) {
        let Some(message) = ws_client::as_message(frame) else {
            return;
        };
        let last = self.received_seqs.last().copied().unwrap_or_default();
        // A replayed message, as in the web client.
        if message.seq > last {
            assert_eq!(message.seq, last + 1, "no gap");
            self.received_seqs.push(message.seq);
        }
    }
}

#[tokio::test]
async fn a_database_that_stops_and_starts_again_loses_nothing_that_was_acknowledged() {
    const WRITERS: usize = 3;
    needs_postgresql!();
    let mut postgres = Postgres::start().await;
    let database = Arc::new(TestDatabase::create_on(&postgres.url()));
    let server = Server::start_in(TestStorage::with_database(Some(database)), |_| {}).await;
    let witness = Browser::join(&server, "Witness").await;
    let general = witness.connect().await.room("general").clone();
    let (progress, mut progressed) = mpsc::unbounded_channel();
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        let browser = Browser::join(&server, &format!("Writer {n}")).await;
        writers.push(RetryingWriter {
            ws: browser.connect().await,
            room: general.id,
            acknowledged: Vec::new(),
            received_seqs: Vec::new(),
            refusal_count: 0,
        });
    }
    // All are connected before the first message.
    let start = |writer: RetryingWriter| tokio::spawn(writer.run(progress.clone()));
    let writers: Vec<_> = writers.into_iter().map(start).collect();
    drop(progress);

    // In two outages, of one restart each, writers just wait. The third lasts until a message is refused.
    for outage in 1..=3 {
        for _ in 0..RetryingWriter::MESSAGE_COUNT / 2 {
            progressed.recv().await.unwrap();
        }
        postgres.shutdown_immediate().await;
        if outage == 3 {
            let is_refused = async { while progressed.recv().await.unwrap() {} };
            tokio::time::timeout(Duration::from_secs(30), is_refused)
                .await
                .expect("a message is refused while the database is down");
        }
        postgres.launch().await;
    }

    let mut done = Vec::new();
    for writer in writers {
        let writer = tokio::time::timeout(Duration::from_mins(1), writer).await;
        done.push(
            writer
                .expect("a writer gets all its messages acknowledged")
                .unwrap(),
        );
    }
    let cursor = Cursor {
        epoch: general.epoch,
        seq: 0,
    };
    let kept = room_history(&witness, general.id, cursor).await;
    let seqs: Vec<Seq> = kept.iter().map(|message| message.seq).collect();
    let count = WRITERS * RetryingWriter::MESSAGE_COUNT;
    assert_eq!(
        seqs,
        (1..).take(count).collect::<Vec<_>>(),
        "in order, without gaps"
    );
    let ids: BTreeSet<_> = kept.iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), count, "each message is stored once");
    for writer in &mut done {
        let mut seqs = Vec::new();
        for (id, seq) in &writer.acknowledged {
            let kept = kept.iter().find(|message| message.id == *id).unwrap();
            assert_eq!(kept.seq, *seq, "the sequence number of the acknowledgement");
            seqs.push(*seq);
        }
        assert!(seqs.is_sorted(), "in the order of sending");
        for frame in writer.ws.frames_until_pong().await {
            writer.on_frame(&frame);
        }
        assert_eq!(
            writer.received_seqs.len(),
            count,
            "every client received every message on its original connection"
        );
    }
    let refused: usize = done.iter().map(|writer| writer.refusal_count).sum();
    println!(
        "{count} messages by {WRITERS} writers, 3 outages: {refused} temporary refusals, none lost, none duplicated"
    );
}
