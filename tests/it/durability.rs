//! What was acknowledged is stored once and in order, even if the server is killed.

use crate::support::{
    Browser, HelloFrame, Publisher, Server, SseClient, WsClient, message_id, with_timeout,
    ws_client,
};
use rialto::{
    model::{
        Cursor, Epoch, MessageId, RoomId, Seq,
        message::{Message, MessageText},
        outbox::Outbox,
        story::Story,
    },
    protocol::ws::ServerFrame,
};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use tokio::sync::{mpsc, watch};

const CLIENTS: usize = 5;
const MESSAGES_EACH: usize = 40;
const MESSAGES: usize = CLIENTS * MESSAGES_EACH;
/// Every kill interrupts some.
const MAX_IN_FLIGHT: usize = 6;

/// As in the browser: every new connection sends all unacknowledged messages again, in order and with the
/// same ids.
struct OutboxClient {
    browser: Browser,
    room: RoomId,
    outbox: Outbox,
    /// In the order of writing.
    written: Vec<MessageId>,
    acknowledged: HashMap<MessageId, Seq>,
    /// The next connection resumes here.
    cursor: Cursor,
    /// Over all connections, in order.
    received: Vec<Message>,
    retransmitted_count: usize,
}

#[derive(PartialEq)]
enum ConnectionEnd {
    Lost,
    Done,
}

impl OutboxClient {
    fn new(browser: Browser, room: RoomId, epoch: Epoch) -> Self {
        Self {
            browser,
            room,
            outbox: Outbox::default(),
            written: Vec::new(),
            acknowledged: HashMap::new(),
            cursor: Cursor { epoch, seq: 0 },
            received: Vec::new(),
            retransmitted_count: 0,
        }
    }

    /// Over as many connections as needed. `starts` counts the server's starts.
    async fn run(
        mut self,
        mut starts: watch::Receiver<u32>,
        progress: mpsc::UnboundedSender<()>,
    ) -> Self {
        loop {
            starts.mark_unchanged();
            if let Ok(ws) = WsClient::try_open_socket(&self.browser).await
                && self.run_connection(ws, &progress).await == ConnectionEnd::Done
            {
                return self;
            }
            starts.changed().await.unwrap();
        }
    }

    async fn run_connection(
        &mut self,
        mut ws: WsClient,
        progress: &mpsc::UnboundedSender<()>,
    ) -> ConnectionEnd {
        let hello = HelloFrame::with_cursor(self.room, self.cursor.clone());
        ws.send_hello(hello).await;
        for entry in self.outbox.to_send() {
            self.retransmitted_count += 1;
            if !ws
                .try_send(&ws_client::message_frame(
                    entry.id,
                    entry.room,
                    entry.text.as_str(),
                ))
                .await
            {
                return ConnectionEnd::Lost;
            }
        }
        loop {
            while self.written.len() < MESSAGES_EACH
                && self.outbox.to_send().count() < MAX_IN_FLIGHT
            {
                if !self.write_message(&mut ws).await {
                    return ConnectionEnd::Lost;
                }
            }
            if self.acknowledged.len() == MESSAGES_EACH && self.received.len() == MESSAGES {
                return ConnectionEnd::Done;
            }
            match ws.next_frame().await {
                Ok(frame) => self.on_frame(&frame, progress),
                Err(_) => return ConnectionEnd::Lost,
            }
        }
    }

    async fn write_message(&mut self, ws: &mut WsClient) -> bool {
        let text = format!("{} {}", self.browser.name, self.written.len());
        let id = message_id();
        self.written.push(id);
        self.outbox
            .push(id, self.room, MessageText::new(&text).unwrap(), 0);
        ws.try_send(&ws_client::message_frame(id, self.room, &text))
            .await
    }

    fn on_frame(&mut self, frame: &ServerFrame, progress: &mpsc::UnboundedSender<()>) {
        match frame {
            ServerFrame::Sent { id, seq, .. } => {
                self.outbox.acknowledge(*id);
                let earlier = self.acknowledged.insert(*id, *seq);
                assert!(
                    earlier.is_none_or(|earlier| earlier == *seq),
                    "acknowledged with two different sequence numbers"
                );
                if earlier.is_none() {
                    progress.send(()).unwrap();
                }
            }
            ServerFrame::Resumed { recovered, .. } => {
                assert!(recovered, "the cursor was not recovered");
            }
            ServerFrame::Refused(refusal) | ServerFrame::Error(refusal) => panic!("{refusal:?}"),
            frame => {
                if let Some(message) = ws_client::as_message(frame) {
                    self.cursor.seq = message.seq;
                    self.received.push(message.clone());
                }
            }
        }
    }
}

/// One item each.
struct Acknowledgements(mpsc::UnboundedReceiver<()>);

impl Acknowledgements {
    async fn wait_for(&mut self, count: usize) {
        for _ in 0..count {
            let next = with_timeout("the server acknowledges", self.0.recv()).await;
            next.expect("a client is still running");
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_once_and_in_order_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let room = {
        let ws = Browser::join(&server, "Witness").await.connect().await;
        ws.room("general").clone()
    };
    let (starts, started) = watch::channel(0);
    let (progress, acknowledgements) = mpsc::unbounded_channel();
    let mut acknowledgements = Acknowledgements(acknowledgements);
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let browser = Browser::join(&server, &format!("Client {n}")).await;
        let client = OutboxClient::new(browser, room.id, room.epoch.clone());
        clients.push(tokio::spawn(client.run(started.clone(), progress.clone())));
    }
    drop(progress);

    // Each with messages in flight.
    for kill in 1..=2 {
        acknowledgements.wait_for(MESSAGES / 4).await;
        server.restart().await;
        starts.send(kill).unwrap();
    }

    let mut done = Vec::new();
    for client in clients {
        let client = with_timeout("a client has sent and received everything", client).await;
        done.push(client.unwrap());
    }
    let history = room_history(&server, room.id, &room.epoch).await;
    check_history(&history, &done);
    let retransmitted: usize = done.iter().map(|client| client.retransmitted_count).sum();
    assert!(
        retransmitted > 0,
        "no kill interrupted a message, so nothing was tested"
    );
    println!(
        "{MESSAGES} messages by {CLIENTS} clients, 2 kills: {retransmitted} retransmitted, none lost, none duplicated"
    );
}

/// As replayed to a new member.
async fn room_history(server: &Server, room: RoomId, epoch: &Epoch) -> Vec<Message> {
    let cursor = Cursor {
        epoch: epoch.clone(),
        seq: 0,
    };
    let late = Browser::join(server, "Latecomer").await;
    let mut ws = late
        .connect_with(HelloFrame::with_cursor(room, cursor))
        .await;
    let frames = ws.frames_until_pong().await;
    frames
        .iter()
        .filter_map(ws_client::as_message)
        .cloned()
        .collect()
}

fn check_history(history: &[Message], clients: &[OutboxClient]) {
    assert_eq!(history.len(), MESSAGES);
    let seqs: Vec<Seq> = history.iter().map(|message| message.seq).collect();
    let without_gaps: Vec<Seq> = (1..).take(MESSAGES).collect();
    assert_eq!(seqs, without_gaps);
    let ids: HashSet<MessageId> = history.iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), MESSAGES, "each message is stored once");

    for client in clients {
        let name = &client.browser.name;
        let theirs: Vec<MessageId> = history
            .iter()
            .filter(|message| message.author.name.as_str() == name)
            .map(|message| message.id)
            .collect();
        assert_eq!(
            theirs, client.written,
            "{name}: every message is stored, in the order of writing"
        );
        for (id, seq) in &client.acknowledged {
            let kept = history.iter().find(|message| message.id == *id).unwrap();
            assert_eq!(
                kept.seq, *seq,
                "{name}: the sequence number of the acknowledgement"
            );
        }
        assert!(
            client.received == history,
            "{name} did not receive exactly the history: {:#?}",
            client.received
        );
    }
}

#[tokio::test]
async fn stories_published_with_a_key_are_there_once_after_the_server_was_killed() {
    const STORIES: usize = 60;
    let mut server = Server::start().await;
    let publisher = Publisher::create(&server).await;
    let (ack_tx, acknowledgements) = mpsc::unbounded_channel();
    let mut acknowledgements = Acknowledgements(acknowledgements);
    let (starts, mut started) = watch::channel(0);
    let publishing = tokio::spawn(async move {
        let mut stories: Vec<Story> = Vec::new();
        let mut retries = 0;
        while stories.len() < STORIES {
            let key = format!("story {}", stories.len());
            let request = publisher
                .story_request(&json!({ "headline": key }))
                .header("idempotency-key", &key);
            started.mark_unchanged();
            match request.send().await {
                Ok(response) if response.status() == 201 => {
                    // A response that the kill cut off acknowledges nothing.
                    let Ok(story) = response.json().await else {
                        continue;
                    };
                    stories.push(story);
                    ack_tx.send(()).unwrap();
                }
                Ok(response) => panic!("{}", response.status()),
                Err(_) => {
                    retries += 1;
                    started.changed().await.unwrap();
                }
            }
        }
        (stories, retries)
    });
    for kill in 1..=3 {
        acknowledgements.wait_for(STORIES / 5).await;
        server.restart().await;
        starts.send(kill).unwrap();
    }
    let (stories, retry_count) = with_timeout("all stories are published", publishing)
        .await
        .unwrap();
    let mut reader = SseClient::open_with(&server, "?after=0", None).await;
    for story in &stories {
        assert_eq!(reader.next_story().await, *story);
    }
    assert!(retry_count > 0, "no kill interrupted a request");
    println!(
        "{STORIES} stories, 3 kills: {retry_count} requests repeated, none lost, none duplicated"
    );
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_says_so_and_loses_nothing() {
    let mut server = Server::start().await;
    let ada = Browser::join(&server, "Ada").await;
    let mut ws = ada.connect().await;
    let general = ws.general();
    let seq = ws.send_message(general, "before the stop").await;
    let (ended, closed) = tokio::join!(server.stop(), ws.expect_close());
    assert!(ended.success(), "{ended}");
    assert_eq!(closed, (1001, "the server is restarting".to_owned()));
    server.restart().await;
    let ws = ada.connect().await;
    assert_eq!(
        ws.room("general").head,
        seq,
        "the message is stored and the session is valid"
    );
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_and_takes_nothing_from_the_first() {
    let server = Server::start().await;
    let refused = server.second_start_error().await;
    let process = format!("process {}", server.pid());
    assert!(refused.contains(&process), "{refused}");
    let folder = server.data_dir().display().to_string();
    assert!(refused.contains(&folder), "{refused}");
    let stories = server.run_cli(&["news", "publish", "Still here"]).await;
    let stdout = String::from_utf8(stories.stdout).unwrap();
    assert!(stdout.contains("by the running server"), "{stdout}");
}
