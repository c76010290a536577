//! Other nodes: their committed events, clients and liveness.
//!
//! The bus may lose messages. Heartbeats count client changes, so a node that missed one requests the full list. Lost events are read from
//! the store.

use super::{Systems, ws};
use crate::{
    model::{ClientId, UserId},
    protocol::ws::ServerFrame,
    server::{
        AppState, Result,
        bus::{
            Bus, Channel, ClientChange, ClientListAssembly, ConnectedClient, Envelope, Inbox,
            Message, NodeId, ReceivedCounts, RemoteCommand,
        },
        live::{Connection, Disconnect},
        store::Stream,
        task,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::task::AbortOnDropHandle;

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A node silent for longer is dead.
const NODE_TIMEOUT: Duration = Duration::from_secs(4);
/// While the bus is connected.
const STORE_POLL_INTERVAL: Duration = Duration::from_secs(10);
const MAX_CONCURRENT_REFRESHES: usize = 128;
const MAX_PENDING_CHANGES: usize = 10_000;
/// Collects what is lost meanwhile.
const PAGE_REFRESH_DELAY: Duration = Duration::from_secs(2);
/// Pages are refreshed no more often.
const PAGE_REFRESH_INTERVAL: Duration = Duration::from_secs(10);

struct RemoteNode {
    last_message_at: Instant,
    /// Client changes applied. None before the first client list.
    change_count: Option<u64>,
    list_requested_at: Option<Instant>,
    /// Received while a request is pending.
    pending: VecDeque<(u64, ClientChange)>,
    client_list: ClientListAssembly,
    received: ReceivedCounts,
    /// Messages from it were lost, and no resync was requested yet.
    has_lost: bool,
}

impl RemoteNode {
    fn new() -> Self {
        Self {
            last_message_at: Instant::now(),
            change_count: None,
            list_requested_at: None,
            pending: VecDeque::new(),
            client_list: ClientListAssembly::default(),
            received: ReceivedCounts::default(),
            has_lost: false,
        }
    }
}

struct RemoteNodes {
    systems: Arc<Systems>,
    bus: Bus,
    known: BTreeMap<NodeId, RemoteNode>,
    last_heartbeat_at: Instant,
    /// Notified when messages may have been lost.
    page_refresh: Arc<Notify>,
}

/// Runs until the bus closes. Never waits for the store or a call task: a silent node would count as dead.
pub(super) async fn run(systems: Arc<Systems>, mut inbox: Inbox) {
    let Some(bus) = systems.app.bus.clone() else {
        return;
    };
    let mut connected = bus.connected();
    let bus_changed = Arc::<Notify>::default();
    let _store_poll = AbortOnDropHandle::new(task::spawn(poll_store(
        systems.clone(),
        bus.clone(),
        bus_changed.clone(),
    )));
    let mut nodes = RemoteNodes {
        systems,
        bus,
        known: BTreeMap::new(),
        last_heartbeat_at: Instant::now(),
        page_refresh: Arc::default(),
    };
    let _page_refresh = AbortOnDropHandle::new(task::spawn(refresh_pages(
        nodes.systems.clone(),
        nodes.page_refresh.clone(),
    )));
    let mut heartbeat = interval(HEARTBEAT_INTERVAL);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = heartbeat.tick() => {
                let is_connected = *connected.borrow();
                nodes.on_heartbeat_tick(is_connected);
            }
            changed = connected.changed() => {
                if changed.is_err() {
                    return;
                }
                bus_changed.notify_one();
                if *connected.borrow_and_update() {
                    nodes.on_bus_connected();
                }
            }
            envelope = inbox.next() => match envelope {
                Some((channel, envelope)) => nodes.on_message(channel, envelope),
                None => return,
            },
        }
    }
}

/// Reads lost events periodically and after the bus reconnects; then also compares sessions.
async fn poll_store(systems: Arc<Systems>, bus: Bus, bus_changed: Arc<Notify>) {
    let connected = bus.connected();
    let mut is_connected = *connected.borrow();
    loop {
        let wait = if is_connected {
            STORE_POLL_INTERVAL
        } else {
            HEARTBEAT_INTERVAL
        };
        let is_back = tokio::select! {
            biased;
            () = sleep(wait) => false,
            () = bus_changed.notified() => {
                is_connected = *connected.borrow();
                is_connected
            }
        };
        if let Err(error) = systems.app.event_log.catch_up().await {
            tracing::warn!(%error, "events of other nodes could not be read");
        }
        if is_back {
            systems.session_check.notify_one();
        }
    }
}

/// Sends pages the read cursors and unread counts of lost messages. Also checks sessions.
async fn refresh_pages(systems: Arc<Systems>, is_due: Arc<Notify>) {
    let app = &systems.app;
    loop {
        is_due.notified().await;
        sleep(PAGE_REFRESH_DELAY).await;
        if let Err(error) = app.event_log.catch_up().await {
            tracing::warn!(%error, "events of other nodes could not be read");
        }
        let users = stream::iter(app.connections.local_users()).map(Ok);
        let refreshed = users
            .try_for_each_concurrent(MAX_CONCURRENT_REFRESHES, |user| refresh_rooms(app, user));
        if let Err(error) = refreshed.await {
            tracing::warn!(%error, "the rooms of pages could not be read; retrying");
            is_due.notify_one();
        }
        systems.session_check.notify_one();
        sleep(PAGE_REFRESH_INTERVAL).await;
    }
}

async fn refresh_rooms(app: &AppState, user: UserId) -> Result<()> {
    for room in app.store.list_rooms(user).await? {
        let frame = ServerFrame::Room { room };
        app.connections.send_to_local_user(user, &frame);
    }
    Ok(())
}

impl RemoteNodes {
    /// Messages were lost both ways before.
    fn on_bus_connected(&mut self) {
        for node in self.known.values_mut() {
            node.last_message_at = Instant::now();
        }
        self.bus.broadcast(Message::Started);
        self.page_refresh.notify_one();
    }

    fn on_heartbeat_tick(&mut self, connected: bool) {
        let changes = self.systems.app.connections.change_count();
        self.bus.broadcast_heartbeat(changes);
        // A stopped process has not read what came meanwhile.
        let was_stopped = self.last_heartbeat_at.elapsed() > 2 * HEARTBEAT_INTERVAL;
        self.last_heartbeat_at = Instant::now();
        if !connected {
            return;
        }
        if was_stopped {
            for node in self.known.values_mut() {
                node.last_message_at = Instant::now();
            }
        }
        self.request_lost_messages();
        let is_dead = |node: &RemoteNode| node.last_message_at.elapsed() > NODE_TIMEOUT;
        let dead = self.known.iter().filter(|(_, node)| is_dead(node));
        for node in dead.map(|(id, _)| *id).collect::<Vec<_>>() {
            tracing::warn!(%node, "a node stopped sending heartbeats");
            self.remove_node(node);
        }
    }

    /// Senders repeat what matters, and pages are refreshed.
    fn request_lost_messages(&mut self) {
        let lost = self.known.iter_mut().filter(|(_, node)| node.has_lost);
        let mut has_lost = false;
        for (id, node) in lost {
            node.has_lost = false;
            has_lost = true;
            tracing::info!(node = %id, "messages of another node were lost");
            self.bus.send_to(*id, Message::Resync);
        }
        if has_lost {
            self.page_refresh.notify_one();
        }
    }

    fn on_resync(&self, from: NodeId) {
        let (live, calls) = (&self.systems.app.connections, &self.systems.calls);
        live.send_client_list(from);
        for connection in live.remote_connections_except(from, &HashSet::new()) {
            calls.on_client_connected(&connection);
        }
        calls.publish_group_calls();
    }

    fn on_message(&mut self, channel: Channel, envelope: Envelope) {
        let Envelope {
            from,
            number,
            message,
        } = envelope;
        if let Some(number) = number {
            let node = self.node(from);
            node.has_lost |= node.received.receive(channel, number);
        }
        match message {
            Message::Stopped => return self.remove_node(from),
            Message::Committed { stream, rows, at } => match stream.parse() {
                Ok(stream) => self
                    .systems
                    .app
                    .event_log
                    .publish_remote_events(stream, &rows, at),
                Err(why) => {
                    tracing::warn!(%why, "another node committed to an unknown stream");
                }
            },
            Message::Command { command: order } => {
                self.systems.app.connections.apply(&order);
                if let RemoteCommand::SubscribeUser { room, .. }
                | RemoteCommand::SubscribeAll { room, .. } = order
                {
                    self.systems.app.event_log.track_stream(Stream::Room(room));
                }
            }
            Message::Started => {
                self.systems.app.connections.send_client_list(from);
                self.request_client_list(from);
            }
            Message::RequestClientList => self.systems.app.connections.send_client_list(from),
            Message::Resync => self.on_resync(from),
            Message::Heartbeat {
                change_count: changes,
                sent,
            } => {
                let this = self.bus.node();
                let node = self.node(from);
                node.has_lost |= node.received.compare(&sent, this);
                if self
                    .node(from)
                    .change_count
                    .is_none_or(|known| known < changes)
                {
                    self.request_client_list(from);
                }
            }
            Message::ClientChanged {
                change_seq: change,
                client_change: page,
            } => self.on_client_change(from, change, page),
            Message::ClientList {
                change_count: changes,
                clients,
                is_last,
                part,
            } => {
                let list = self.node(from).client_list.add(part, clients, is_last);
                if let Some(clients) = list {
                    self.on_client_list(from, changes, clients);
                }
            }
        }
        self.node(from).last_message_at = Instant::now();
    }

    /// Of a new node, nothing was heard before.
    fn node(&mut self, id: NodeId) -> &mut RemoteNode {
        let page_refresh = &self.page_refresh;
        self.known.entry(id).or_insert_with(|| {
            page_refresh.notify_one();
            RemoteNode::new()
        })
    }

    /// At most one request a heartbeat interval.
    fn request_client_list(&mut self, id: NodeId) {
        let bus = self.bus.clone();
        let node = self.node(id);
        if node
            .list_requested_at
            .is_none_or(|asked| asked.elapsed() > HEARTBEAT_INTERVAL)
        {
            node.list_requested_at = Some(Instant::now());
            node.client_list.on_request();
            node.pending.clear();
            bus.send_to(id, Message::RequestClientList);
        }
    }

    fn on_client_change(&mut self, id: NodeId, change: u64, client_change: ClientChange) {
        let node = self.node(id);
        match node.change_count {
            Some(known) if change <= known => {}
            Some(known) if change == known + 1 => {
                node.change_count = Some(change);
                self.apply(id, client_change);
            }
            _ => {
                if node.list_requested_at.is_none() {
                    self.request_client_list(id);
                }
                let node = self.node(id);
                if node.pending.len() < MAX_PENDING_CHANGES {
                    node.pending.push_back((change, client_change));
                }
            }
        }
    }

    fn on_client_list(&mut self, id: NodeId, changes: u64, clients: Vec<ConnectedClient>) {
        let node = self.node(id);
        node.list_requested_at = None;
        let pending = std::mem::take(&mut node.pending);
        if node.change_count.is_some_and(|known| known > changes) {
            // An earlier request's answer, overtaken by changes.
            return;
        }
        node.change_count = Some(changes);
        let listed: HashSet<ClientId> = clients.iter().map(|page| page.client).collect();
        for page in self
            .systems
            .app
            .connections
            .remote_connections_except(id, &listed)
        {
            self.disconnect_client(&page, Disconnect::Lost);
        }
        let live = &self.systems.app.connections;
        let known = clients.iter();
        let known = known.filter_map(|page| live.find_remote_connection(id, page.client));
        let known: Vec<_> = known.collect();
        for page in clients {
            self.apply(id, ClientChange::Connected { client: page });
        }
        // Frames about their calls may have been lost.
        for page in known {
            self.systems.calls.on_client_connected(&page);
        }
        for (change, page) in pending {
            self.on_client_change(id, change, page);
        }
    }

    fn apply(&self, id: NodeId, change: ClientChange) {
        let live = &self.systems.app.connections;
        match change {
            ClientChange::Connected { client: page } => {
                if let Some(page) = live.register_remote(id, page) {
                    live.publish_presence(&page.person);
                    self.systems.calls.on_client_connected(&page);
                }
            }
            ClientChange::VisibilityChanged { client, visible } => {
                if let Some(page) = live.find_remote_connection(id, client) {
                    live.set_visible(&page, visible);
                }
            }
            ClientChange::Disconnected {
                client,
                disconnect: gone,
            } => {
                if let Some(page) = live.find_remote_connection(id, client) {
                    self.disconnect_client(&page, gone);
                }
            }
        }
    }

    fn disconnect_client(&self, connection: &Arc<Connection>, disconnect: Disconnect) {
        ws::on_disconnect(&self.systems, connection, disconnect);
    }

    fn remove_node(&mut self, id: NodeId) {
        self.known.remove(&id);
        for connection in self
            .systems
            .app
            .connections
            .remote_connections_except(id, &HashSet::new())
        {
            self.disconnect_client(&connection, Disconnect::Lost);
        }
        // After what is sent to it for its clients.
        self.bus.forget(id);
    }
}
