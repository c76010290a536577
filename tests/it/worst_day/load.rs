//! Pages, readers and a publisher at all nodes, and the check that nothing acknowledged is lost, doubled or reordered.

use super::{
    chat_page::ChatPage,
    news::{NewsReader, StoryWriter},
};
use crate::support::{Browser, HelloFrame, Publisher, Server, SseClient, eventually, ws_client};
use futures::future::join_all;
use rialto::model::{Cursor, MessageId, Seq, message::Message, room::RoomSummary};
use std::{
    collections::HashSet,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const PAGES_PER_NODE: usize = 2;
/// To settle what is pending, and to receive the rest.
const FINISH_TIMEOUT: Duration = Duration::from_secs(30);

/// Hands a client from node to node.
#[derive(Debug, Clone)]
pub(super) struct Balancer {
    nodes: Arc<[SocketAddr]>,
    current: usize,
}

impl Balancer {
    fn new(nodes: &[Server]) -> Self {
        Self {
            nodes: nodes.iter().map(Server::address).collect(),
            current: 0,
        }
    }

    fn starting_at(&self, node: usize) -> Self {
        Self {
            nodes: self.nodes.clone(),
            current: node,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.nodes[self.current]
    }

    pub(super) fn move_on(&mut self) {
        self.current = (self.current + 1) % self.nodes.len();
    }
}

/// How far the clients are.
#[derive(Debug)]
pub(super) struct Progress(Mutex<ProgressState>);

#[derive(Debug)]
struct ProgressState {
    /// When the last settled message of each page was written.
    written_at: Vec<Instant>,
    messages: usize,
    /// When the last acknowledged story was begun, and its sequence.
    published: (Instant, Seq),
    read: Vec<Seq>,
}

impl Progress {
    fn new(pages: usize, readers: usize) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self(Mutex::new(ProgressState {
            written_at: vec![now; pages],
            messages: 0,
            published: (now, 0),
            read: vec![0; readers],
        })))
    }

    pub(super) fn on_written(&self, page: usize, written_at: Instant) {
        let mut state = self.0.lock().unwrap();
        state.written_at[page] = written_at;
        state.messages += 1;
    }

    pub(super) fn on_published(&self, began: Instant, seq: Seq) {
        self.0.lock().unwrap().published = (began, seq);
    }

    pub(super) fn on_read(&self, reader: usize, seq: Seq) {
        self.0.lock().unwrap().read[reader] = seq;
    }

    fn message_count(&self) -> usize {
        self.0.lock().unwrap().messages
    }

    /// Whether everybody has written and read something that was begun after `since`.
    fn is_live_since(&self, since: Instant) -> bool {
        let state = self.0.lock().unwrap();
        let (began, seq) = state.published;
        state.written_at.iter().all(|at| *at > since)
            && began > since
            && state.read.iter().all(|read| *read >= seq)
    }
}

pub(super) struct Load {
    room: RoomSummary,
    witness: Browser,
    stop: CancellationToken,
    progress: Arc<Progress>,
    pages: Vec<JoinHandle<ChatPage>>,
    readers: Vec<JoinHandle<NewsReader>>,
    publishing: JoinHandle<StoryWriter>,
}

/// What happened, for the test's output.
#[derive(Debug)]
pub(super) struct Figures {
    messages: usize,
    stories: usize,
    refusals: usize,
    retries: usize,
    reconnects: usize,
    pub(super) gaps: usize,
    pub(super) longest_answer: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            messages,
            stories,
            refusals,
            retries,
            reconnects,
            gaps,
            longest_answer,
        } = self;
        write!(
            f,
            "{messages} messages and {stories} stories acknowledged, none lost, none doubled; {refusals} refused and \
             {retries} requests repeated, {reconnects} reconnects, {gaps} gaps; longest answer {longest_answer:.1?}"
        )
    }
}

impl Load {
    /// Returns when everybody has written and read something.
    pub(super) async fn start(nodes: &[Server], token: String) -> Self {
        let balancer = Balancer::new(nodes);
        let witness = Browser::join(&nodes[0], "Witness").await;
        let room = witness.connect().await.room("general").clone();
        let (page_count, stop) = (PAGES_PER_NODE * nodes.len(), CancellationToken::new());
        let progress = Progress::new(page_count, nodes.len());
        let mut pages = Vec::new();
        for n in 0..page_count {
            let node = n % nodes.len();
            let browser = Browser::join(&nodes[node], &format!("Page {n}")).await;
            let balancer = balancer.starting_at(node);
            let (room, stop, progress) = (room.clone(), stop.clone(), progress.clone());
            let page = ChatPage::new(browser, balancer, room, stop, progress, n);
            pages.push(tokio::spawn(page.write()));
        }
        let readers = nodes.iter().enumerate().map(|(n, node)| {
            let browser = Browser::anonymous(node, &format!("Reader {n}"));
            let reader = NewsReader::new(browser, balancer.starting_at(n), progress.clone(), n);
            tokio::spawn(reader.read(stop.clone()))
        });
        let readers = readers.collect();
        let publisher = Publisher::with_token(Browser::anonymous(&nodes[0], "Press"), token);
        let writer = StoryWriter::new(publisher, balancer.clone(), progress.clone());
        let publishing = tokio::spawn(writer.write(stop.clone()));
        let load = Self {
            room,
            witness,
            stop,
            progress,
            pages,
            readers,
            publishing,
        };
        load.wait_until_live(Duration::from_secs(10)).await;
        load
    }

    /// Until everybody has written and read something that was begun after this call. Returns how long that took.
    pub(super) async fn wait_until_live(&self, bound: Duration) -> Duration {
        let since = Instant::now();
        let live = async {
            while !self.progress.is_live_since(since) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(bound, live).await.is_err() {
            let now = Instant::now();
            panic!("not live within {bound:?}, at {now:?}: {:?}", self.progress);
        }
        since.elapsed()
    }

    /// Until so many more are settled.
    pub(super) async fn wait_for_messages(&self, count: usize) {
        let goal = self.progress.message_count() + count;
        eventually("messages are settled", async || {
            self.progress.message_count() >= goal
        })
        .await;
    }

    /// Stops writing and checks everything, with the history as `node` has it.
    pub(super) async fn finish(self, node: &Server) -> Figures {
        self.stop.cancel();
        let pages = finish_all("what was written is settled", self.pages).await;
        let readers = finish_all("readers stop", self.readers).await;
        let [writer] = finish_all("the last story is published", vec![self.publishing])
            .await
            .try_into()
            .unwrap_or_else(|_| unreachable!());
        let history = room_history(&self.witness.at_node(node), &self.room).await;
        let head = Seq::try_from(history.len()).unwrap();
        let read = pages
            .into_iter()
            .map(|page| tokio::spawn(page.read_to(head)));
        let pages = finish_all("every page has everything", read.collect()).await;
        check_room(&history, &pages);
        let head = Seq::try_from(writer.acknowledged.len()).unwrap();
        let read = readers
            .into_iter()
            .map(|reader| tokio::spawn(reader.read_to(head)));
        let readers = finish_all("every reader has everything", read.collect()).await;
        check_news(node, &writer, &readers).await;
        let reconnects = pages
            .iter()
            .map(|page| page.figures.reconnects)
            .sum::<usize>()
            + readers
                .iter()
                .map(|reader| reader.reconnects)
                .sum::<usize>();
        let longest = pages.iter().map(|page| page.figures.longest_answer).max();
        Figures {
            messages: history.len(),
            stories: writer.acknowledged.len(),
            refusals: pages.iter().map(|page| page.figures.refusals).sum(),
            retries: writer.retries,
            reconnects,
            gaps: pages.iter().map(|page| page.figures.gaps).sum(),
            longest_answer: longest.unwrap_or_default(),
        }
    }
}

async fn finish_all<T>(what: &str, tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let done = timeout(FINISH_TIMEOUT, join_all(tasks)).await;
    let done = done.unwrap_or_else(|_| panic!("{what}: not within {FINISH_TIMEOUT:?}"));
    done.into_iter().map(Result::unwrap).collect()
}

/// As replayed to a new connection.
async fn room_history(witness: &Browser, room: &RoomSummary) -> Vec<Message> {
    let cursor = Cursor {
        epoch: room.epoch.clone(),
        seq: 0,
    };
    let mut ws = witness
        .connect_with(HelloFrame::with_cursor(room.id, cursor))
        .await;
    let frames = ws.frames_until_pong().await;
    let messages = frames.iter().filter_map(ws_client::as_message);
    messages.cloned().collect()
}

fn check_room(history: &[Message], pages: &[ChatPage]) {
    let seqs: Vec<_> = history.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..).take(seqs.len()).collect::<Vec<_>>(), "no gap");
    let ids: Vec<_> = history.iter().map(|message| message.id).collect();
    let distinct: HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "each message is stored once");
    for page in pages {
        let name = &page.browser.name;
        assert!(page.received == ids, "{name} received another order");
        let is_theirs = |message: &&Message| message.author.name.as_str() == name;
        let theirs = history.iter().filter(is_theirs);
        let stored: Vec<MessageId> = theirs.map(|message| message.id).collect();
        assert_eq!(
            stored, page.written,
            "{name}: everything, in the order of writing"
        );
        for message in history.iter().filter(is_theirs) {
            let acknowledged = page.acknowledged.get(&message.id);
            assert_eq!(acknowledged, Some(&message.seq), "{name}");
        }
    }
}

async fn check_news(node: &Server, writer: &StoryWriter, readers: &[NewsReader]) {
    let mut latecomer = SseClient::open_with(node, "?after=0", None).await;
    let mut stored = Vec::new();
    while stored.len() < writer.acknowledged.len() {
        stored.push(latecomer.next_story().await);
    }
    assert!(stored == writer.acknowledged, "each story once, in order");
    for reader in readers {
        assert!(reader.received == stored, "every reader has the same news");
    }
}
