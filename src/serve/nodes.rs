//! Other nodes: what they commit, which pages are connected to them, and whether they live.
//!
//! Nothing that comes by the bus has to come. A change of a node's pages has a number, and the node says once a second how many
//! there were: who missed one asks for all pages. Events of the log have their sequence, and what never comes is found by looking
//! at the store: every second while the bus is away, now and then while it is there.

use super::{Systems, ws};
use crate::{
    model::ClientId,
    protocol::close::CloseCode,
    server::{
        App,
        bus::{Bus, Envelope, Inbox, Message, NodeId, Order, Page, PageChange},
        live::{Connection, Gone},
        session,
        store::Stream,
    },
};
use futures::{StreamExt, stream};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::task::AbortOnDropHandle;

/// How often a node says that it lives.
const PULSE: Duration = Duration::from_secs(1);
/// A node of which nothing is heard for so long is gone, and its pages with it.
const DEAD: Duration = Duration::from_secs(4);
/// How often the store is looked at for events that never came, while the bus is there.
const LOOK: Duration = Duration::from_secs(10);
/// How many sessions are looked up at once.
const CHECKS: usize = 128;
/// How many changes are kept while all pages of a node are asked for.
const PENDING: usize = 10_000;

/// Another node, as this one knows it.
struct Node {
    heard: Instant,
    /// How many changes of its pages are known; none before the first answer.
    changes: Option<u64>,
    /// When all its pages were asked for, if they are on their way.
    asked: Option<Instant>,
    /// Changes that came while they are.
    pending: VecDeque<(u64, PageChange)>,
    /// The parts that came.
    parts: Vec<Page>,
}

impl Node {
    fn new() -> Self {
        Self {
            heard: Instant::now(),
            changes: None,
            asked: None,
            pending: VecDeque::new(),
            parts: Vec::new(),
        }
    }
}

struct Nodes {
    systems: Arc<Systems>,
    bus: Bus,
    known: HashMap<NodeId, Node>,
}

/// Hears the other nodes until the program ends. Nothing in its loop waits for the store: a node that says nothing, or hears
/// nothing, while its database restarts would be taken for dead.
pub(super) async fn run(systems: Arc<Systems>, mut inbox: Inbox) {
    let Some(bus) = systems.app.bus.clone() else {
        return;
    };
    let mut connected = bus.connected();
    let _looking = AbortOnDropHandle::new(tokio::spawn(look(systems.clone(), bus.clone())));
    let mut nodes = Nodes {
        systems,
        bus,
        known: HashMap::new(),
    };
    let mut pulse = interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            envelope = inbox.next() => match envelope {
                Some(envelope) => nodes.hear(envelope).await,
                None => return,
            },
            changed = connected.changed() => {
                if changed.is_ok() && *connected.borrow_and_update() {
                    nodes.connected();
                }
            }
            _ = pulse.tick() => {
                let there = *connected.borrow();
                nodes.pulse(there).await;
            }
        }
    }
}

/// Looks at the store for what other nodes committed and this one was never told: every second while the bus is away, when it is
/// back, and now and then while it is there. When it is back, whoever signed out meanwhile is signed out here too.
async fn look(systems: Arc<Systems>, bus: Bus) {
    let mut connected = bus.connected();
    let mut there = *connected.borrow_and_update();
    loop {
        let wait = if there { LOOK } else { PULSE };
        let is_back = tokio::select! {
            () = sleep(wait) => false,
            changed = connected.changed() => {
                there = changed.is_ok() && *connected.borrow_and_update();
                there
            }
        };
        if let Err(error) = systems.app.log.catch_up().await {
            tracing::warn!(%error, "what other nodes committed could not be looked up");
        }
        if is_back {
            check_sessions(&systems.app).await;
        }
    }
}

/// Ends the connections of sessions that ended, or of people who changed, while the bus was away.
async fn check_sessions(app: &App) {
    let check = |page: Arc<Connection>| async move {
        match session::holder(app, &page).await {
            Ok(Some(person)) if person == page.person => {}
            Ok(Some(_)) => page.end(CloseCode::GoingAway),
            Ok(None) => page.end(CloseCode::SignedOut),
            // It is still heard of when the page connects again.
            Err(error) => tracing::warn!(%error, "a session could not be looked up"),
        }
    };
    let pages = stream::iter(app.live.here());
    pages.for_each_concurrent(CHECKS, check).await;
}

impl Nodes {
    /// The bus is there, for the first time or again: whatever was said meanwhile was missed, by everybody.
    fn connected(&mut self) {
        for node in self.known.values_mut() {
            node.heard = Instant::now();
        }
        self.bus.tell_all(Message::Started);
    }

    async fn pulse(&mut self, connected: bool) {
        let changes = self.systems.app.live.changes();
        self.bus.tell_all(Message::Pulse { changes });
        if !connected {
            return;
        }
        let is_dead = |node: &Node| node.heard.elapsed() > DEAD;
        let dead = self.known.iter().filter(|(_, node)| is_dead(node));
        for node in dead.map(|(id, _)| *id).collect::<Vec<_>>() {
            tracing::warn!(%node, "nothing is heard of a node any more");
            self.gone(node).await;
        }
    }

    async fn hear(&mut self, Envelope { from, message }: Envelope) {
        match message {
            Message::Stopped => return self.gone(from).await,
            Message::Committed { stream, rows, at } => match stream.parse() {
                Ok(stream) => self.systems.app.log.heard(stream, &rows, at),
                Err(why) => {
                    tracing::warn!(%why, "another node committed to a stream of which nothing is known");
                }
            },
            Message::Order { order } => {
                self.systems.app.live.obey(&order);
                if let Order::Join { room, .. } | Order::JoinAll { room, .. } = order {
                    self.systems.app.log.watch(Stream::Room(room));
                }
            }
            Message::Started => {
                self.systems.app.live.tell_pages(from);
                self.ask(from);
            }
            Message::AskPages => self.systems.app.live.tell_pages(from),
            Message::Pulse { changes } => {
                if self.node(from).changes.is_none_or(|known| known < changes) {
                    self.ask(from);
                }
            }
            Message::Page { change, page } => self.changed(from, change, page).await,
            Message::Pages {
                changes,
                pages,
                last,
            } => {
                self.node(from).parts.extend(pages);
                if last {
                    self.all(from, changes).await;
                }
            }
        }
        self.node(from).heard = Instant::now();
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.known.entry(id).or_insert_with(Node::new)
    }

    /// Asks a node for all its pages, unless they are on their way.
    fn ask(&mut self, id: NodeId) {
        let bus = self.bus.clone();
        let node = self.node(id);
        if node.asked.is_none_or(|asked| asked.elapsed() > PULSE) {
            node.asked = Some(Instant::now());
            node.parts.clear();
            node.pending.clear();
            bus.tell(id, Message::AskPages);
        }
    }

    async fn changed(&mut self, id: NodeId, change: u64, page: PageChange) {
        let node = self.node(id);
        match node.changes {
            Some(known) if change <= known => {}
            Some(known) if change == known + 1 => {
                node.changes = Some(change);
                self.apply(id, page).await;
            }
            _ => {
                if node.asked.is_none() {
                    self.ask(id);
                }
                let node = self.node(id);
                if node.pending.len() < PENDING {
                    node.pending.push_back((change, page));
                }
            }
        }
    }

    /// All pages of a node came: those that are not among them are gone.
    async fn all(&mut self, id: NodeId, changes: u64) {
        let node = self.node(id);
        node.asked = None;
        let pages = std::mem::take(&mut node.parts);
        let pending = std::mem::take(&mut node.pending);
        if node.changes.is_some_and(|known| known > changes) {
            // An answer to an earlier question, overtaken by changes.
            return;
        }
        node.changes = Some(changes);
        let there: HashSet<ClientId> = pages.iter().map(|page| page.client).collect();
        for page in self.systems.app.live.others_of(id, &there) {
            self.close(&page, Gone::ForNow).await;
        }
        let live = &self.systems.app.live;
        let known = pages.iter();
        let known = known.filter_map(|page| live.page_elsewhere(id, page.client));
        let known: Vec<_> = known.collect();
        for page in pages {
            self.apply(id, PageChange::Opened { page }).await;
        }
        // What was told to them of their calls may have been missed. A call that is being stored can wait, and this loop cannot.
        let calls = self.systems.calls.clone();
        tokio::spawn(async move {
            for page in known {
                calls.opened(&page).await;
            }
        });
        for (change, page) in pending {
            Box::pin(self.changed(id, change, page)).await;
        }
    }

    async fn apply(&self, id: NodeId, change: PageChange) {
        let live = &self.systems.app.live;
        match change {
            PageChange::Opened { page } => {
                if let Some(page) = live.open_elsewhere(id, page) {
                    live.tell_presence(&page.person);
                    self.systems.calls.opened(&page).await;
                }
            }
            PageChange::Visible { client, visible } => {
                if let Some(page) = live.page_elsewhere(id, client) {
                    live.set_visible(&page, visible);
                }
            }
            PageChange::Closed { client, gone } => {
                if let Some(page) = live.page_elsewhere(id, client) {
                    self.close(&page, gone).await;
                }
            }
        }
    }

    async fn close(&self, page: &Arc<Connection>, gone: Gone) {
        ws::leave(&self.systems, page, gone).await;
    }

    async fn gone(&mut self, id: NodeId) {
        self.known.remove(&id);
        for page in self.systems.app.live.others_of(id, &HashSet::new()) {
            self.close(&page, Gone::ForNow).await;
        }
    }
}
