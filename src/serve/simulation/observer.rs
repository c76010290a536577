//! A client of each node that must be told every event of its rooms, without resuming.

use super::{
    connection::{Connection, Received},
    page::Visitor,
    world::World,
};
use crate::{
    model::{ClientId, RoomId, Seq},
    protocol::ws::{ClientFrame, ServerFrame},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Builder;

const NETWORK_DELAY: Duration = Duration::from_millis(10);
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
const PING_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Observer {
    pub(super) node: usize,
    told: Arc<Mutex<Told>>,
}

/// What came over the current connection.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) is_welcome: bool,
    pub(super) rooms: BTreeMap<RoomId, ToldRoom>,
}

#[derive(Debug, Default)]
pub(super) struct ToldRoom {
    /// Of the first summary; later events must come.
    head: Option<Seq>,
    events: BTreeSet<Seq>,
}

impl ToldRoom {
    /// Events that did not come.
    pub(super) fn missing(&self, head: Seq) -> Vec<Seq> {
        let first = self.head.unwrap_or_default() + 1;
        (first..=head)
            .filter(|seq| !self.events.contains(seq))
            .collect()
    }
}

impl Observer {
    pub(super) fn open(world: &Arc<World>, visitor: &Visitor, node: usize, seed: u64) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let mut random = StdRng::seed_from_u64(seed);
        let client = Client {
            world: world.clone(),
            token_hash: visitor.token_hash.clone(),
            node,
            id: ClientId(Builder::from_random_bytes(random.random()).into_uuid()),
            incarnation: 0,
            told: told.clone(),
        };
        tokio::spawn(client.run());
        Self { node, told }
    }

    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Client {
    world: Arc<World>,
    token_hash: String,
    node: usize,
    id: ClientId,
    incarnation: u32,
    told: Arc<Mutex<Told>>,
}

impl Client {
    async fn run(mut self) {
        loop {
            *lock(&self.told) = Told::default();
            let token_hash = self.token_hash.clone();
            let end = self.world.connect(self.node, token_hash, NETWORK_DELAY);
            if let Some(end) = end {
                self.observe(Connection::new(end)).await;
            }
            sleep(RECONNECT_DELAY).await;
        }
    }

    async fn observe(&mut self, mut connection: Connection) {
        self.incarnation += 1;
        let mut ping_at = Instant::now() + PING_INTERVAL;
        for n in 0.. {
            loop {
                let received = tokio::select! {
                    biased;
                    received = connection.next() => received,
                    () = sleep_until(ping_at) => break,
                };
                match received {
                    Received::Opened => {
                        connection.open();
                        connection.send(&ClientFrame::Hello {
                            client: self.id,
                            cursors: Vec::new(),
                            visible: true,
                            incarnation: self.incarnation,
                        });
                    }
                    Received::Frame(frame) => lock(&self.told).take(&frame),
                    Received::Ignored => {}
                    Received::Closed(_) => return,
                }
            }
            ping_at += PING_INTERVAL;
            connection.send(&ClientFrame::Ping { n });
        }
    }
}

impl Told {
    fn take(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Welcome { rooms, .. } => {
                self.is_welcome = true;
                for room in rooms {
                    self.rooms.entry(room.id).or_default().head = Some(room.head);
                }
            }
            ServerFrame::Room { room } => {
                let told = self.rooms.entry(room.id).or_default();
                told.head.get_or_insert(room.head);
            }
            ServerFrame::Event { room, seq, .. } => {
                self.rooms.entry(*room).or_default().events.insert(*seq);
            }
            _ => {}
        }
    }
}
