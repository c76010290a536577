//! The servers of a simulation, their database and broker, and the ways to reach them.

use super::plan::Settings;
use crate::{
    model::Cursor,
    news,
    protocol::close::CloseCode,
    serve::{
        Systems, call_leader, close_live_connections, nodes, session_checks,
        ws::{self, Identity},
    },
    server::{
        AppState,
        app_state::community_epoch,
        bus::{
            Bus, Message,
            simulated::{Broker, Link, MessageFaults},
        },
        clock,
        config::Config,
        files::Files,
        http_server::TakenSocket,
        rate_limit::{Bound, Charge, Key},
        simulation::{
            node::Node,
            pipe::{self, PipeEnd},
        },
        socket::Socket,
        store::{Database, DatabaseNetwork, Reachability, Store},
        task,
    },
};
use bytes::Bytes;
use clap::Parser;
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Few people do all that a plan has.
const NO_LIMITS: &str = "frames=1000000,resumes=1000000,messages=1000000,calls=1000000,rings=1000000,strangers-rings=1000000,\
    conversations=1000000,presence=1000000,typing=1000000";
/// As of Linux, of one direction.
const PIPE_CAPACITY: usize = 64 * 1024;
/// As a supervisor.
const START_RETRY_DELAY: Duration = Duration::from_secs(1);
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// As a browser.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a group call; fewer than the people of some plans.
pub(super) const MAX_PARTICIPANTS: usize = 3;
pub(super) const HANDSHAKE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

pub(super) struct World {
    pub(super) started_at: Instant,
    pub(super) database: Arc<Database>,
    broker: Option<Arc<Broker>>,
    files: Files,
    arguments: Vec<String>,
    seed: u64,
    nodes: Vec<Mutex<Slot>>,
}

/// Where a node runs, or will run again.
struct Slot {
    /// Of all processes that ran here.
    number: u64,
    process: Arc<Node>,
    /// None until the program has started.
    systems: Option<Arc<Systems>>,
    link: Option<Link>,
    network: DatabaseNetwork,
    stop_calls: CancellationToken,
}

impl World {
    /// `files` are unused by the simulation, and shared.
    pub(super) fn new(settings: &Settings, seed: u64, folder: &Path, files: Files) -> Arc<Self> {
        let started_at = Instant::now();
        let is_shared = settings.nodes > 1;
        let database = Database::open(&folder.join("rialto.sqlite"), is_shared, seed ^ 1);
        let arguments = [
            "rialto",
            "--data",
            &folder.to_string_lossy(),
            "--replay-events",
            &settings.replay_events.to_string(),
            "--ring-seconds",
            "20",
            "--call-grace-seconds",
            "10",
            "--group-call-size",
            &MAX_PARTICIPANTS.to_string(),
            "--queue-bytes",
            &settings.queue_bytes.to_string(),
            "--limits",
            NO_LIMITS,
        ];
        let nodes = (0..settings.nodes).map(|_| {
            Mutex::new(Slot {
                number: 0,
                process: Node::new(started_at, 0),
                systems: None,
                link: None,
                network: DatabaseNetwork::default(),
                stop_calls: CancellationToken::new(),
            })
        });
        Arc::new(Self {
            started_at,
            database,
            broker: is_shared.then(|| Broker::new(seed ^ 2)),
            files,
            arguments: arguments.map(str::to_owned).into(),
            seed,
            nodes: nodes.collect(),
        })
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn broker(&self) -> Option<&Arc<Broker>> {
        self.broker.as_ref()
    }

    fn slot(&self, node: usize) -> MutexGuard<'_, Slot> {
        self.nodes[node]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the program; retries until it succeeds.
    pub(super) fn start(self: &Arc<Self>, node: usize) {
        let (process, link, network, stop_calls) = {
            let mut slot = self.slot(node);
            if slot.number > 0 && !slot.process.has_crashed() {
                return;
            }
            slot.number += 1;
            let index = u64::try_from(node).unwrap_or_default();
            let seed = self.seed ^ (index << 32) ^ (slot.number << 40);
            slot.process = Node::new(self.started_at, seed);
            slot.link = self
                .broker
                .as_ref()
                .map(|broker| broker.connect(&slot.process));
            slot.stop_calls = CancellationToken::new();
            (
                slot.process.clone(),
                slot.link.clone(),
                slot.network.clone(),
                slot.stop_calls.clone(),
            )
        };
        let world = self.clone();
        process.clone().spawn(async move {
            loop {
                let started = world.serve(link.clone(), &network, &stop_calls).await;
                match started {
                    Ok(systems) => break world.slot(node).systems = Some(systems),
                    Err(error) => {
                        tracing::debug!(node, %error, "a simulated node did not start");
                        sleep(START_RETRY_DELAY).await;
                    }
                }
            }
        });
    }

    async fn serve(
        &self,
        link: Option<Link>,
        network: &DatabaseNetwork,
        stop_calls: &CancellationToken,
    ) -> Result<Arc<Systems>, crate::server::Error> {
        let config = Arguments::parse_from(&self.arguments).config;
        let store = Store::simulated(&self.database, network);
        let (bus, inbox) = match link {
            Some(link) => {
                let epoch = community_epoch(&store).await?;
                let (bus, inbox) = Bus::simulated(link, &epoch).await;
                (Some(bus), Some(inbox))
            }
            None => (None, None),
        };
        let files = self.files.clone();
        let app = AppState::assemble(config, "simulated".to_owned(), store, files, bus);
        let systems = Systems::new(&app).await?;
        task::spawn(news::server::run_heartbeats(app.clone()));
        task::spawn(ws::run_timers(systems.clone()));
        task::spawn(session_checks::run(systems.clone()));
        if let Some(inbox) = inbox {
            task::spawn(nodes::run(systems.clone(), inbox));
        }
        task::spawn(call_leader::run(systems.clone(), stop_calls.clone()));
        Ok(systems)
    }

    /// As SIGKILL. The sockets are closed by the system.
    pub(super) fn crash(&self, node: usize) {
        let mut slot = self.slot(node);
        slot.process.crash();
        slot.systems = None;
    }

    /// As SIGTERM.
    pub(super) fn stop(self: &Arc<Self>, node: usize) {
        let (process, systems, stop_calls) = {
            let mut slot = self.slot(node);
            let Some(systems) = slot.systems.take() else {
                return;
            };
            (slot.process.clone(), systems, slot.stop_calls.clone())
        };
        let stopping = process.clone();
        process.spawn(async move {
            let app = &systems.app;
            close_live_connections(app).await;
            sleep(Duration::from_millis(200)).await;
            stop_calls.cancel();
            let _ = timeout(SHUTDOWN_TIMEOUT, systems.calls.shut_down()).await;
            if let Some(bus) = &app.bus {
                bus.broadcast(Message::Stopped);
                let _ = timeout(SHUTDOWN_TIMEOUT, bus.flush()).await;
            }
            app.store.close().await;
            stopping.crash();
        });
    }

    /// As SIGSTOP.
    pub(super) fn pause(&self, node: usize) {
        self.slot(node).process.pause();
    }

    pub(super) fn resume(&self, node: usize) {
        self.slot(node).process.resume();
    }

    pub(super) fn set_clock_offset(&self, node: usize, offset_ms: i64) {
        self.slot(node).process.set_clock_offset(offset_ms);
    }

    pub(super) fn set_reachability(&self, node: usize, reachability: Reachability) {
        self.slot(node).network.set(reachability);
    }

    pub(super) fn heal_store(&self, node: usize) {
        self.set_reachability(node, Reachability::Reachable);
    }

    pub(super) fn set_bus_connected(&self, node: usize, is_connected: bool) {
        if let Some(link) = &self.slot(node).link {
            link.set_connected(is_connected);
        }
    }

    pub(super) fn set_message_faults(&self, node: usize, faults: MessageFaults) {
        if let Some(link) = &self.slot(node).link {
            link.set_faults(faults);
        }
    }

    pub(super) fn systems(&self, node: usize) -> Option<Arc<Systems>> {
        self.slot(node).systems.clone()
    }

    /// None if the node does not answer.
    pub(super) async fn request<F, T>(
        &self,
        node: usize,
        handle: impl FnOnce(Arc<Systems>) -> F,
    ) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (process, systems) = {
            let slot = self.slot(node);
            (slot.process.clone(), slot.systems.clone()?)
        };
        let (answer_tx, answer) = oneshot::channel();
        let handled = handle(systems);
        process.spawn(async move { drop(answer_tx.send(handled.await)) });
        timeout(REQUEST_TIMEOUT, answer).await.ok()?.ok()
    }

    /// None if the connection is refused.
    pub(super) fn connect(
        &self,
        node: usize,
        token_hash: String,
        delay: Duration,
    ) -> Option<PipeEnd> {
        self.open_socket(node, delay, |systems, taken| async move {
            let head = Bytes::from_static(HANDSHAKE);
            let session = systems.app.store.find_session(&token_hash, clock::now());
            match session.await {
                Ok(Some(session)) => {
                    let who = Identity {
                        person: session.person,
                        token_hash,
                        guest_of: None,
                    };
                    let key = Key::Person(who.person.id);
                    let charge = Charge::new(Bound::WebSockets, key);
                    match systems.app.limits.open([charge]) {
                        Ok(place) => {
                            ws::run_connection(systems, taken, head, who, place).await;
                        }
                        Err(_) => {
                            ws::reject(systems, taken, head, CloseCode::TryAgainLater).await;
                        }
                    }
                }
                Ok(None) => ws::reject(systems, taken, head, CloseCode::SignedOut).await,
                // The answer has the status 503.
                Err(_) => drop(taken),
            }
        })
    }

    /// None if the connection is refused.
    pub(super) fn connect_reader(
        &self,
        node: usize,
        cursor: Option<Cursor>,
        delay: Duration,
    ) -> Option<PipeEnd> {
        self.open_socket(node, delay, |systems, taken| async move {
            news::server::serve_on(&systems.app, taken, cursor).await;
        })
    }

    fn open_socket<F>(
        &self,
        node: usize,
        delay: Duration,
        serve: impl FnOnce(Arc<Systems>, TakenSocket) -> F + Send + 'static,
    ) -> Option<PipeEnd>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (process, systems) = {
            let slot = self.slot(node);
            (slot.process.clone(), slot.systems.clone()?)
        };
        let (client, server) = pipe::connect(PIPE_CAPACITY, delay);
        process.spawn(async move {
            sleep(delay).await;
            let taken = TakenSocket {
                socket: Socket::Pipe(server),
                read_buf: Bytes::new(),
            };
            serve(systems, taken).await;
        });
        Some(client)
    }
}
