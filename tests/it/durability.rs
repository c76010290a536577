//! Acknowledged means durable: what the server said it has is there, once and in order, whatever happens to the server.

use crate::support::{Greeting, News, Page, Person, Press, Server, message_id, page, within};
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
/// How many messages a client has on their way at a time: enough that a kill always meets some.
const IN_FLIGHT: usize = 6;

/// A page that keeps to the rules of the outbox, as the browser's does: nothing leaves it before it is acknowledged, and every
/// connection sends all of it again, in order, under the same ids.
struct Client {
    person: Person,
    room: RoomId,
    outbox: Outbox,
    /// In the order in which they were written.
    written: Vec<MessageId>,
    acknowledged: HashMap<MessageId, Seq>,
    /// Where the replay goes on.
    cursor: Cursor,
    /// Everything heard, in order, over all connections.
    heard: Vec<Message>,
    sent_again: usize,
}

/// Why a client's connection is no longer of use.
#[derive(PartialEq)]
enum Over {
    Lost,
    Done,
}

impl Client {
    fn new(person: Person, room: RoomId, epoch: Epoch) -> Self {
        Self {
            person,
            room,
            outbox: Outbox::default(),
            written: Vec::new(),
            acknowledged: HashMap::new(),
            cursor: Cursor { epoch, seq: 0 },
            heard: Vec::new(),
            sent_again: 0,
        }
    }

    /// Sends all it has to send and hears all that everybody sent, over as many connections as it takes. `starts` counts the
    /// server's starts: a lost connection is tried again when there is a new one.
    async fn run(
        mut self,
        mut starts: watch::Receiver<u32>,
        progress: mpsc::UnboundedSender<()>,
    ) -> Self {
        loop {
            starts.mark_unchanged();
            if let Ok(page) = Page::try_dial(&self.person).await
                && self.connected(page, &progress).await == Over::Done
            {
                return self;
            }
            starts.changed().await.unwrap();
        }
    }

    async fn connected(&mut self, mut page: Page, progress: &mpsc::UnboundedSender<()>) -> Over {
        let greeting = Greeting::from(self.room, self.cursor.clone());
        page.hello(greeting).await;
        for entry in self.outbox.to_send() {
            self.sent_again += 1;
            if !page
                .try_send(&page::send(entry.id, entry.room, entry.text.as_str()))
                .await
            {
                return Over::Lost;
            }
        }
        loop {
            while self.written.len() < MESSAGES_EACH && self.outbox.to_send().count() < IN_FLIGHT {
                if !self.write(&mut page).await {
                    return Over::Lost;
                }
            }
            if self.acknowledged.len() == MESSAGES_EACH && self.heard.len() == MESSAGES {
                return Over::Done;
            }
            match page.listen().await {
                Ok(frame) => self.hear(&frame, progress),
                Err(_) => return Over::Lost,
            }
        }
    }

    async fn write(&mut self, page: &mut Page) -> bool {
        let text = format!("{} {}", self.person.name, self.written.len());
        let id = message_id();
        self.written.push(id);
        self.outbox
            .push(id, self.room, MessageText::new(&text).unwrap(), 0);
        page.try_send(&page::send(id, self.room, &text)).await
    }

    fn hear(&mut self, frame: &ServerFrame, progress: &mpsc::UnboundedSender<()>) {
        match frame {
            ServerFrame::Sent { id, seq, .. } => {
                self.outbox.acknowledge(*id);
                let earlier = self.acknowledged.insert(*id, *seq);
                assert!(
                    earlier.is_none_or(|earlier| earlier == *seq),
                    "acknowledged twice, differently"
                );
                if earlier.is_none() {
                    progress.send(()).unwrap();
                }
            }
            ServerFrame::Resumed { recovered, .. } => assert!(recovered, "nothing was lost"),
            ServerFrame::Refused { reason, .. } | ServerFrame::Error { reason, .. } => {
                panic!("refused: {reason}")
            }
            frame => {
                if let Some(message) = page::message(frame) {
                    self.cursor.seq = message.seq;
                    self.heard.push(message.clone());
                }
            }
        }
    }
}

/// One for each thing that the server said it has.
struct Acknowledgements(mpsc::UnboundedReceiver<()>);

impl Acknowledgements {
    /// Waits for so many more.
    async fn count(&mut self, count: usize) {
        for _ in 0..count {
            let next = within("the server acknowledges", self.0.recv()).await;
            next.expect("somebody still sends");
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_once_and_in_order_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let room = {
        let page = Person::join(&server, "Witness").await.page().await;
        page.room("general").clone()
    };
    let (starts, started) = watch::channel(0);
    let (progress, acknowledgements) = mpsc::unbounded_channel();
    let mut acknowledgements = Acknowledgements(acknowledgements);
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let person = Person::join(&server, &format!("Client {n}")).await;
        let client = Client::new(person, room.id, room.epoch.clone());
        clients.push(tokio::spawn(client.run(started.clone(), progress.clone())));
    }
    drop(progress);

    // Killed twice in the middle of it, each time with messages on their way.
    for kill in 1..=2 {
        acknowledgements.count(MESSAGES / 4).await;
        server.restart().await;
        starts.send(kill).unwrap();
    }

    let mut done = Vec::new();
    for client in clients {
        let client = within("a client has sent and heard everything", client).await;
        done.push(client.unwrap());
    }
    let history = history(&server, room.id, &room.epoch).await;
    check(&history, &done);
    let again: usize = done.iter().map(|client| client.sent_again).sum();
    assert!(
        again > 0,
        "the kills met nothing on its way, so this proved nothing"
    );
    println!(
        "{MESSAGES} messages by {CLIENTS} clients, 2 kills: {again} sent again, none lost, none doubled"
    );
}

/// Everything that is in a room, told to somebody who was not there.
async fn history(server: &Server, room: RoomId, epoch: &Epoch) -> Vec<Message> {
    let cursor = Cursor {
        epoch: epoch.clone(),
        seq: 0,
    };
    let late = Person::join(server, "Latecomer").await;
    let mut page = late.page_with(Greeting::from(room, cursor)).await;
    let frames = page.all_so_far().await;
    frames.iter().filter_map(page::message).cloned().collect()
}

fn check(history: &[Message], clients: &[Client]) {
    assert_eq!(history.len(), MESSAGES);
    let seqs: Vec<Seq> = history.iter().map(|message| message.seq).collect();
    let without_holes: Vec<Seq> = (1..).take(MESSAGES).collect();
    assert_eq!(seqs, without_holes);
    let ids: HashSet<MessageId> = history.iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), MESSAGES, "each is there once");

    for client in clients {
        let name = &client.person.name;
        let theirs: Vec<MessageId> = history
            .iter()
            .filter(|message| message.author.name.as_str() == name)
            .map(|message| message.id)
            .collect();
        assert_eq!(
            theirs, client.written,
            "{name}: all there, in the order of writing"
        );
        for (id, seq) in &client.acknowledged {
            let kept = history.iter().find(|message| message.id == *id).unwrap();
            assert_eq!(kept.seq, *seq, "{name}: where the server said it would be");
        }
        assert!(
            client.heard == history,
            "{name} heard something else than the history: {:#?}",
            client.heard
        );
    }
}

#[tokio::test]
async fn stories_published_with_a_key_are_there_once_after_the_server_was_killed() {
    const STORIES: usize = 60;
    let mut server = Server::start().await;
    let press = Press::open(&server).await;
    let (tell, acknowledgements) = mpsc::unbounded_channel();
    let mut acknowledgements = Acknowledgements(acknowledgements);
    let (starts, mut started) = watch::channel(0);
    let publishing = tokio::spawn(async move {
        let mut published: Vec<Story> = Vec::new();
        let mut again = 0;
        while published.len() < STORIES {
            let key = format!("story {}", published.len());
            let request = press
                .request(&json!({ "headline": key }))
                .header("idempotency-key", &key);
            started.mark_unchanged();
            match request.send().await {
                Ok(answer) if answer.status() == 201 => {
                    // The answer may still be cut short, and then says nothing.
                    let Ok(story) = answer.json().await else {
                        continue;
                    };
                    published.push(story);
                    tell.send(()).unwrap();
                }
                Ok(answer) => panic!("{}", answer.status()),
                Err(_) => {
                    again += 1;
                    started.changed().await.unwrap();
                }
            }
        }
        (published, again)
    });
    for kill in 1..=3 {
        acknowledgements.count(STORIES / 5).await;
        server.restart().await;
        starts.send(kill).unwrap();
    }
    let (published, again) = within("all are published", publishing).await.unwrap();
    let mut reader = News::open_at(&server, "?after=0", None).await;
    for story in &published {
        assert_eq!(reader.story().await, *story);
    }
    assert!(again > 0, "the kills met nothing on its way");
    println!("{STORIES} stories, 3 kills: {again} sent again, none lost, none doubled");
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_says_so_and_loses_nothing() {
    let mut server = Server::start().await;
    let ada = Person::join(&server, "Ada").await;
    let mut page = ada.page().await;
    let general = page.general();
    let seq = page.say(general, "before the stop").await;
    let (ended, closed) = tokio::join!(server.stop(), page.expect_close());
    assert!(ended.success(), "{ended}");
    assert_eq!(closed, (1001, "the server is restarting".to_owned()));
    server.restart().await;
    let page = ada.page().await;
    assert_eq!(
        page.room("general").head,
        seq,
        "and the session still holds"
    );
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_and_takes_nothing_from_the_first() {
    let server = Server::start().await;
    let refused = server.refuses_another().await;
    let process = format!("process {}", server.id());
    assert!(refused.contains(&process), "{refused}");
    let folder = server.data().display().to_string();
    assert!(refused.contains(&folder), "{refused}");
    let published = server.command(&["news", "publish", "Still here"]).await;
    let said = String::from_utf8(published.stdout).unwrap();
    assert!(said.contains("by the running server"), "{said}");
}
