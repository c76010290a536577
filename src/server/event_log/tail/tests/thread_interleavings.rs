//! Threads that deliver, load, replay, evict and catch up at once.

use super::{STORY, event};
use crate::{
    model::{Epoch, Seq, stream::Cursor},
    server::{
        error::{Error, Result},
        event_log::tail::{PublishOutcome, StreamStore, Tails, Watched},
        interleavings::check,
        live::{
            EncodedEvent, Flusher, NewsSubscribers, SendQueue,
            news_subscribers::{Filter, Subscription},
        },
        store::{EventRow, Stream, StreamState},
        sync::Mutex,
    },
};
use bytes::Bytes;
use shuttle::{
    future::block_on,
    thread::{self, JoinHandle},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const STREAM: Stream = Stream::News;
const MAX_QUEUED_BYTES: usize = 1_000_000;
const MANY: usize = 100;

#[derive(Default)]
struct MemoryStore {
    rows: Mutex<Vec<EventRow>>,
    /// Reads to fail.
    failures: Mutex<usize>,
}

impl MemoryStore {
    fn commit(&self, payload: &str) -> EventRow {
        let mut rows = self.rows.lock();
        let row = EventRow {
            seq: Seq::try_from(rows.len()).unwrap() + 1,
            payload: payload.to_owned(),
        };
        rows.push(row.clone());
        row
    }

    fn head(&self) -> Seq {
        Seq::try_from(self.rows.lock().len()).unwrap()
    }

    fn fail_if_due(&self) -> Result<()> {
        let mut failures = self.failures.lock();
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        Err(Error::Internal("a read that fails".to_owned()))
    }
}

impl StreamStore for MemoryStore {
    async fn find_stream(&self, _: Stream) -> Result<StreamState> {
        self.fail_if_due()?;
        Ok(StreamState {
            epoch: epoch(),
            head: self.head(),
            oldest: 1,
        })
    }

    async fn list_events(&self, _: Stream, after: Seq, max_events: Seq) -> Result<Vec<EventRow>> {
        let rows = self.rows.lock();
        let later = rows.iter().filter(|row| row.seq > after);
        Ok(later
            .take(usize::try_from(max_events).unwrap())
            .cloned()
            .collect())
    }
}

fn epoch() -> Epoch {
    Epoch("a".into())
}

struct Node {
    store: MemoryStore,
    tails: Tails,
    news_subscribers: Arc<NewsSubscribers>,
    flusher: Flusher,
    gap_count: AtomicUsize,
}

impl Node {
    fn new(max_events: usize, max_bytes: usize) -> Arc<Self> {
        let max_events = Seq::try_from(max_events).unwrap();
        Arc::new(Self {
            store: MemoryStore::default(),
            tails: Tails::with_max_bytes(max_events, max_bytes),
            news_subscribers: Arc::default(),
            flusher: Flusher::default(),
            gap_count: AtomicUsize::new(0),
        })
    }

    fn commit(&self) -> EncodedEvent {
        let row = self.store.commit(STORY);
        EncodedEvent::encode(STREAM, &row).unwrap()
    }

    fn deliver(&self, event: &EncodedEvent) {
        let publish = |event: &EncodedEvent| self.news_subscribers.publish(event);
        if self.tails.deliver(event, publish) == PublishOutcome::Gap {
            self.gap_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn catch_up(&self) {
        let publish = |event: &EncodedEvent| self.news_subscribers.publish(event);
        block_on(self.tails.catch_up(&self.store, STREAM, publish)).unwrap();
    }

    fn run(self: &Arc<Self>, act: impl FnOnce(&Arc<Self>) + Send + 'static) -> JoinHandle<()> {
        let node = self.clone();
        thread::spawn(move || act(&node))
    }

    fn check_bytes(&self, stream: Stream) {
        let tail = self.tails.lock().get(&stream).cloned();
        let events = tail.and_then(|tail| {
            let state = tail.lock();
            let cached = state.cached.as_ref()?;
            Some((cached.head, cached.events.clone()))
        });
        let Some((head, events)) = events else { return };
        assert!(events.len() <= self.tails.max_events);
        let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
        let count = Seq::try_from(seqs.len()).unwrap();
        assert_eq!(seqs, seqs_between(head - count, head), "contiguous");
        let bytes: usize = events.iter().map(|event| event.bytes.len()).sum();
        assert_eq!(self.tails.bytes.load(Ordering::Relaxed), bytes, "counted");
    }
}

struct Client {
    send_queue: Arc<SendQueue>,
    _subscription: Subscription,
    /// It has, or rendered, the events up to here.
    after: Seq,
}

impl Client {
    /// Subscribes without a cursor, on the only node.
    fn connect(node: &Node) -> Self {
        let client = Self::subscribe(node, 0);
        client.send_queue.uncork(&[]);
        client
    }

    /// Subscribes, then renders stored events, on one of several nodes.
    fn render(node: &Node) -> Self {
        let client = Self::subscribe(node, 0);
        block_on(node.tails.position(&node.store, STREAM)).unwrap();
        let after = node.store.head();
        client.send_queue.uncork(&[]);
        Self { after, ..client }
    }

    /// Resumes as the SSE handler does, with retries. `after` must be recoverable.
    fn resume(node: &Node, after: Seq) -> Self {
        let client = Self::subscribe(node, after);
        let cursor = Cursor {
            epoch: epoch(),
            seq: after,
        };
        let replay = loop {
            if let Ok(replay) = block_on(node.tails.replay(&node.store, STREAM, &cursor)) {
                break replay;
            }
        };
        for event in replay.missed.expect("recovered") {
            block_on(client.send_queue.send(event.bytes)).unwrap();
        }
        client.send_queue.uncork(&[(STREAM, replay.head)]);
        client
    }

    fn subscribe(node: &Node, after: Seq) -> Self {
        let send_queue = SendQueue::new(&node.flusher, MAX_QUEUED_BYTES);
        let subscribers = &node.news_subscribers;
        let subscription = subscribers.subscribe(send_queue.clone(), Filter::default());
        Self {
            send_queue,
            _subscription: subscription,
            after,
        }
    }

    fn received(&self) -> Vec<Seq> {
        let frames = self.send_queue.take().unwrap();
        frames.iter().map(seq_of_story).collect()
    }

    fn check_received_in_order(&self, head: Seq) {
        let expected = seqs_between(self.after, head);
        assert_eq!(self.received(), expected, "after {}", self.after);
    }

    /// Events up to `overdue` may come late and twice.
    fn check_received(&self, overdue: Seq, head: Seq) {
        let received = self.received();
        for seq in self.after + 1..=overdue.min(head) {
            assert!(received.contains(&seq), "{seq} is missing: {received:?}");
        }
        let after = overdue.max(self.after);
        let later = received.iter().filter(|seq| **seq > after).copied();
        let later: Vec<_> = later.collect();
        assert_eq!(later, seqs_between(after, head), "{received:?}");
    }
}

fn seqs_between(after: Seq, head: Seq) -> Vec<Seq> {
    (after + 1..=head).collect()
}

fn seq_of_story(bytes: &Bytes) -> Seq {
    let text = std::str::from_utf8(bytes).unwrap();
    let id = text.lines().find_map(|line| line.strip_prefix("id: "));
    // Events have no epoch before a tail is loaded.
    let seq = id.unwrap().rsplit(':').next();
    seq.unwrap().parse().unwrap()
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let threads = threads.into_iter();
    threads.map(|thread| thread.join().unwrap()).collect()
}

fn write(node: &Arc<Node>) {
    for batch in [1, 2, 1] {
        let events: Vec<_> = (0..batch).map(|_| node.commit()).collect();
        for event in &events {
            node.deliver(event);
        }
    }
}

const WRITTEN: Seq = 4;

fn resume_while_writing(node: &Arc<Node>, failures: usize) {
    *node.store.failures.lock() = failures;
    let connected = Client::connect(node);
    let writer = node.run(write);
    let resuming = (0..2).map(|_| {
        let node = node.clone();
        thread::spawn(move || Client::resume(&node, 0))
    });
    let mut resuming: Vec<_> = resuming.collect();
    resuming.push({
        let node = node.clone();
        // Of a page that was rendered meanwhile.
        thread::spawn(move || Client::resume(&node, node.store.head()))
    });
    let resumed = join(resuming);
    join([writer]);
    for client in resumed.iter().chain([&connected]) {
        client.check_received_in_order(WRITTEN);
    }
    node.check_bytes(STREAM);
    assert_eq!(node.gap_count.load(Ordering::Relaxed), 0);
}

#[test]
fn each_client_receives_each_event_of_the_only_writer_once_and_in_order() {
    check(150, || {
        resume_while_writing(&Node::new(MANY, MANY * 1_000), 0);
    });
}

#[test]
fn a_store_that_fails_leaves_no_event_out() {
    check(100, || {
        resume_while_writing(&Node::new(MANY, MANY * 1_000), 2);
    });
}

#[test]
fn clients_receive_the_same_while_tails_are_evicted() {
    check(150, || {
        let bytes = event(1).in_epoch(&epoch()).bytes.len();
        resume_while_writing(&Node::new(MANY, bytes - 1), 0);
    });
}

fn deliver_past_the_bound_of_a_tail() {
    let node = Node::new(2, MANY * 1_000);
    let position = |node: &Arc<Node>| {
        block_on(node.tails.position(&node.store, STREAM)).unwrap();
    };
    join([node.run(write), node.run(position), node.run(position)]);
    node.check_bytes(STREAM);
}

#[test]
fn the_bytes_of_events_beyond_the_bound_of_a_tail_are_subtracted() {
    check(200, deliver_past_the_bound_of_a_tail);
}

/// Commits two events, of which the bus loses the first.
fn write_on_other_node(node: &Arc<Node>) {
    node.commit();
    let delivered = node.commit();
    node.deliver(&delivered);
}

fn deliver_from_nodes() {
    const HEAD: Seq = 2 + 2 + WRITTEN;
    let node = Node::new(MANY, MANY * 1_000);
    let connected = Client::render(&node);
    let writers = [
        node.run(write),
        node.run(write_on_other_node),
        node.run(write_on_other_node),
        node.run(|node| node.catch_up()),
    ];
    let resuming = thread::spawn({
        let node = node.clone();
        move || Client::resume(&node, 0)
    });
    let resumed = resuming.join().unwrap();
    join(writers);
    node.catch_up();
    for client in [connected, resumed] {
        client.check_received_in_order(HEAD);
    }
    node.check_bytes(STREAM);
}

#[test]
fn events_of_several_nodes_are_received_once_and_in_order_even_if_the_bus_loses_some() {
    check(150, deliver_from_nodes);
}

fn load_while_nodes_deliver() {
    const HEAD: Seq = 2 + WRITTEN;
    let node = Node::new(MANY, MANY * 1_000);
    let writers = [
        node.run(write),
        node.run(write_on_other_node),
        node.run(|node| node.catch_up()),
    ];
    let connect = [|node: &Node| Client::resume(node, 0), Client::render];
    let connecting = connect.map(|connect| {
        let node = node.clone();
        thread::spawn(move || {
            let client = connect(&node);
            // The tail is loaded.
            (client, node.store.head())
        })
    });
    let connected = join(connecting);
    join(writers);
    node.catch_up();
    for (client, loaded_head) in connected {
        client.check_received(loaded_head, HEAD);
    }
    node.check_bytes(STREAM);
}

#[test]
fn whenever_a_tail_is_loaded_only_events_committed_before_may_come_late_or_twice() {
    check(150, load_while_nodes_deliver);
}

fn publish_from_start() {
    const HEAD: Seq = 4;
    let node = Node::new(MANY, MANY * 1_000);
    let writers = [node.run(write_on_other_node), node.run(write_on_other_node)];
    let subscribing = thread::spawn({
        let node = node.clone();
        move || {
            let client = Client::connect(&node);
            let watched: Watched = node.tails.watch(STREAM);
            let publish = |event: &EncodedEvent| node.news_subscribers.publish(event);
            let tails = &node.tails;
            let started = tails.publish_from_start(&node.store, STREAM, watched, publish);
            block_on(started).unwrap();
            (client, node.store.head())
        }
    });
    let (client, loaded_head) = subscribing.join().unwrap();
    join(writers);
    node.catch_up();
    client.check_received(loaded_head, HEAD);
    node.check_bytes(STREAM);
}

#[test]
fn the_first_subscribers_of_a_stream_miss_none_of_its_events() {
    check(150, publish_from_start);
}
