//! A broker in memory that may lose, double, delay and reorder messages.

use super::{Bus, BusError, Incoming, MAX_QUEUED_MESSAGES, NodeId, Transport};
use crate::{
    model::Epoch,
    server::{random, simulation::node::Node},
};
use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

/// Messages kept for one disconnected node; NATS clients keep as many or more.
const MAX_UNSENT: usize = 1_024;

/// Probabilities of faults for each message, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MessageFaults {
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    /// Late by up to a second: others overtake it.
    pub(crate) late: u32,
}

pub(crate) struct Broker(Mutex<State>);

struct State {
    random: StdRng,
    subscribers: BTreeMap<u64, Subscriber>,
    next_id: u64,
    links: Vec<LinkState>,
    fault_count: u64,
}

struct Subscriber {
    subject: String,
    link: usize,
    sender: mpsc::UnboundedSender<Incoming>,
}

struct LinkState {
    node: Arc<Node>,
    connected: watch::Sender<bool>,
    unsent: Vec<Outgoing>,
    /// Of messages to the node.
    faults: MessageFaults,
}

struct Outgoing {
    subject: String,
    message: Incoming,
}

#[derive(Clone)]
pub(crate) struct Link {
    broker: Arc<Broker>,
    index: usize,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Bus {
    /// A bus whose messages stay in its queue.
    pub(crate) fn queueing(
        link: Link,
        community: &Epoch,
    ) -> (Self, mpsc::Receiver<(String, Bytes)>) {
        let (outgoing, outgoing_rx) = mpsc::channel(MAX_QUEUED_MESSAGES);
        let bus = Self {
            node: NodeId(random::new_id()),
            community: community.0.as_str().into(),
            connected: link.connected(),
            transport: Transport::Simulated(link),
            outgoing,
            sent: Arc::default(),
        };
        (bus, outgoing_rx)
    }
}

impl Broker {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            random: StdRng::seed_from_u64(seed),
            subscribers: BTreeMap::new(),
            next_id: 0,
            links: Vec::new(),
            fault_count: 0,
        })))
    }

    pub(crate) fn connect(self: &Arc<Self>, node: &Arc<Node>) -> Link {
        let mut state = self.lock();
        state.links.push(LinkState {
            node: node.clone(),
            connected: watch::channel(true).0,
            unsent: Vec::new(),
            faults: MessageFaults::default(),
        });
        Link {
            broker: self.clone(),
            index: state.links.len() - 1,
        }
    }

    pub(crate) fn fault_count(&self) -> u64 {
        self.lock().fault_count
    }

    fn publish(self: &Arc<Self>, from: usize, outgoing: Outgoing) {
        let mut state = self.lock();
        let link = &mut state.links[from];
        if link.node.has_crashed() {
            return;
        }
        if !*link.connected.borrow() {
            if link.unsent.len() < MAX_UNSENT {
                link.unsent.push(outgoing);
            }
            return;
        }
        let Outgoing { subject, message } = outgoing;
        let subscribers = state.subscribers.iter();
        let receivers: Vec<_> = subscribers
            .filter(|(_, subscriber)| subscriber.subject == subject)
            .map(|(id, subscriber)| (*id, subscriber.link))
            .collect();
        for (id, link) in receivers {
            let faults = state.links[link].faults;
            for delay in state.draw_deliveries(faults) {
                let (broker, message) = (self.clone(), message.clone());
                tokio::spawn(async move {
                    sleep(delay).await;
                    broker.deliver(id, message);
                });
            }
        }
    }

    fn deliver(&self, to: u64, message: Incoming) {
        let mut state = self.lock();
        let State {
            subscribers, links, ..
        } = &mut *state;
        let Some(subscriber) = subscribers.get(&to) else {
            return;
        };
        // A message to a disconnected node is lost.
        let is_connected = *links[subscriber.link].connected.borrow();
        if is_connected && subscriber.sender.send(message).is_err() {
            subscribers.remove(&to);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Delays: none for a lost message, two for a doubled one.
    fn draw_deliveries(&mut self, faults: MessageFaults) -> Vec<Duration> {
        let fate = self.random.random_range(0..1_000);
        let MessageFaults {
            lost,
            doubled,
            late,
        } = faults;
        // Equal delays keep the order.
        let usual = Duration::from_millis(1);
        let long = Duration::from_millis(self.random.random_range(2..1_000));
        let delays = match fate {
            fate if fate < lost => vec![],
            fate if fate < lost + doubled => vec![usual, long],
            fate if fate < lost + doubled + late => vec![long],
            _ => return vec![usual],
        };
        self.fault_count += 1;
        delays
    }
}

impl Link {
    pub(crate) fn connected(&self) -> watch::Receiver<bool> {
        self.broker.lock().links[self.index].connected.subscribe()
    }

    /// Reconnecting sends what was published meanwhile.
    pub(crate) fn set_connected(&self, is_connected: bool) {
        let unsent = {
            let mut state = self.broker.lock();
            let link = &mut state.links[self.index];
            link.connected.send_replace(is_connected);
            if !is_connected {
                return;
            }
            std::mem::take(&mut link.unsent)
        };
        for outgoing in unsent {
            self.broker.publish(self.index, outgoing);
        }
    }

    pub(crate) fn set_faults(&self, faults: MessageFaults) {
        self.broker.lock().links[self.index].faults = faults;
    }

    pub(super) fn publish(&self, subject: &str, payload: Bytes, reply: Option<String>) {
        let outgoing = Outgoing {
            subject: subject.to_owned(),
            message: Incoming { payload, reply },
        };
        self.broker.publish(self.index, outgoing);
    }

    pub(super) async fn request(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        let has_subscriber = {
            let state = self.broker.lock();
            let mut subscribers = state.subscribers.values();
            subscribers
                .any(|subscriber| subscriber.subject == subject && !subscriber.sender.is_closed())
        };
        if !has_subscriber {
            return Err(BusError("no responders".to_owned()));
        }
        let inbox = format!("inbox.{}", self.broker.lock().next_id);
        let mut replies = self.subscribe(&inbox);
        self.publish(subject, payload, Some(inbox));
        let closed = || BusError("the broker has stopped".to_owned());
        replies.recv().await.map(drop).ok_or_else(closed)
    }

    pub(super) fn subscribe(&self, subject: &str) -> mpsc::UnboundedReceiver<Incoming> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.broker.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.subscribers.insert(
            id,
            Subscriber {
                subject: subject.to_owned(),
                link: self.index,
                sender,
            },
        );
        receiver
    }
}
