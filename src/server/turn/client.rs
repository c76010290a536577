//! One client of the relay: somebody's browser, by one of its sockets. Its protocol, its relays, and what is asked before either is
//! listened to: whose it is, to whom it wants to send, and how much.

use super::{
    credentials::NotGood,
    hub::Hub,
    message::{self, Request, Signature},
    protocol::{Family, NoRelay, Outcome, Protocol, Step, TurnProto},
    quota::Place,
};
use crate::{
    model::UserId,
    server::{clock, metrics::Refused},
};
use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::UdpSocket, sync::mpsc, task::AbortHandle};

/// How long a client may be without a relay before it is forgotten. It is told all it needs within two round trips.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// The most that is read of a datagram: larger than any that crosses the internet in one piece.
pub(super) const DATAGRAM: usize = 2_048;
/// How often a client may try names.
const TRIES: u8 = 8;

/// How a client is written to.
#[derive(Debug)]
pub(super) enum Wire {
    /// In a datagram from the socket it wrote to.
    Udp(Arc<UdpSocket>, SocketAddr),
    /// Through the task that writes to its connection.
    Stream(mpsc::Sender<Vec<u8>>),
}

impl Wire {
    /// Sends, or not: what does not fit now is late already, and media make do without (RFC 8656 promises no more).
    fn send(&self, bytes: &[u8]) {
        // A full buffer and a client that is gone come to the same.
        match self {
            Self::Udp(socket, to) => drop(socket.try_send_to(bytes, *to)),
            Self::Stream(queue) => {
                let mut bytes = bytes.to_vec();
                bytes.resize(bytes.len().next_multiple_of(message::HEAD), 0);
                drop(queue.try_send(bytes));
            }
        }
    }
}

/// One client.
pub(super) struct Client {
    hub: Arc<Hub>,
    wire: Wire,
    state: Mutex<State>,
    /// When it was first heard, since the server was started.
    since: Duration,
}

struct State {
    protocol: Box<dyn Protocol>,
    /// Whose it is, and how it signs: from the first request on that was signed as it should be.
    owner: Option<(UserId, Signature)>,
    tries: u8,
    relays: HashMap<SocketAddr, Relay>,
    /// Closed for good.
    closed: bool,
}

/// An address of ours at which peers reach a client.
struct Relay {
    socket: Arc<UdpSocket>,
    /// Reads from the socket.
    reader: AbortHandle,
    place: Place,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// What a message is answered before the protocol hears it.
enum Gate {
    Pass,
    Answer(Vec<u8>),
    Drop,
}

impl Client {
    /// A client that was seen from one address by the listener at the other.
    pub(super) fn new(
        hub: Arc<Hub>,
        wire: Wire,
        client: SocketAddr,
        listener: SocketAddr,
    ) -> Arc<Self> {
        let state = State {
            protocol: Box::new(TurnProto::new(client, listener, &hub.realm)),
            owner: None,
            tries: 0,
            relays: HashMap::new(),
            closed: false,
        };
        let since = hub.elapsed();
        Arc::new(Self {
            hub,
            wire,
            state: Mutex::new(state),
            since,
        })
    }

    /// The client sent one message or one piece of channel data.
    pub(super) fn heard(self: &Arc<Self>, bytes: &[u8]) {
        let now = self.hub.elapsed();
        let is_message = message::is_message(bytes);
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let gate = if is_message {
            self.gate(&mut state, bytes)
        } else {
            Gate::Pass
        };
        let outcome = match gate {
            Gate::Pass => state.protocol.heard(bytes, now),
            Gate::Answer(answer) => Outcome::Say(answer),
            Gate::Drop => Outcome::Nothing,
        };
        if is_message {
            self.step(&mut state, now);
        }
        match outcome {
            Outcome::Nothing => {}
            Outcome::Say(bytes) => self.wire.send(&bytes),
            Outcome::Relay { from, to, bytes } => {
                let Some(relay) = state.relays.get(&from) else {
                    return;
                };
                if !relay.place.allow(bytes.len(), now) {
                    return self.hub.refused(Refused::BANDWIDTH);
                }
                let socket = relay.socket.clone();
                // What follows may come to the lock of another client, which may be on its way to this one.
                drop(state);
                self.hub.relay(&socket, from, to, bytes);
            }
        }
    }

    /// A peer sent something to a relay of this client.
    pub(super) fn relayed(&self, relay: SocketAddr, peer: SocketAddr, bytes: &[u8]) {
        let now = self.hub.elapsed();
        let mut told = Vec::new();
        let mut state = self.lock();
        let Some(open) = state.relays.get(&relay) else {
            return;
        };
        if !open.place.allow(bytes.len(), now) {
            return self.hub.refused(Refused::BANDWIDTH);
        }
        if state.protocol.relayed(relay, peer, bytes, &mut told, now) {
            drop(state);
            self.hub.count(bytes.len());
            self.wire.send(&told);
        }
    }

    /// Lets go of what has expired. False when nothing is left, and the client may be forgotten.
    pub(super) fn tick(self: &Arc<Self>) -> bool {
        let now = self.hub.elapsed();
        let mut state = self.lock();
        self.step(&mut state, now);
        let is_idle = state.relays.is_empty() && now.saturating_sub(self.since) > IDLE;
        state.closed |= is_idle;
        !is_idle
    }

    /// Whether it has a relay.
    pub(super) fn has_relay(&self) -> bool {
        !self.lock().relays.is_empty()
    }

    /// The client is gone: so are its relays.
    pub(super) fn close(&self) {
        let relays = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.relays)
        };
        for address in relays.keys() {
            self.hub.forget(*address);
        }
    }

    /// Looks at a message before the protocol does, and counts what is refused.
    fn gate(&self, state: &mut State, bytes: &[u8]) -> Gate {
        match message::read(bytes) {
            Some(Request::Allocate {
                username: Some(username),
            }) => {
                state.tries = state.tries.saturating_add(1);
                if state.tries > TRIES {
                    return Gate::Drop;
                }
                match self.hub.secret.check(&username, clock::now()) {
                    Ok((user, password)) => {
                        let signature = Signature::new(&username, &password, &self.hub.realm);
                        if signature.signed(bytes) {
                            state.protocol.admit(&username, &password);
                            // Whose the relays are that there are stays as it is: the protocol lets nobody else have them.
                            if state.relays.is_empty() {
                                state.owner = Some((user, signature));
                            }
                        } else {
                            self.hub.refused(Refused::FORGED);
                        }
                    }
                    Err(NotGood::Expired) => self.hub.refused(Refused::EXPIRED),
                    Err(NotGood::Unknown) => self.hub.refused(Refused::FORGED),
                }
                // Whom the protocol does not know, it answers that.
                Gate::Pass
            }
            Some(Request::Reach(peers)) => {
                let allowed = peers.iter().all(|peer| self.hub.may_reach(*peer));
                let Some((_, signature)) = state.owner.as_ref().filter(|_| !allowed) else {
                    return Gate::Pass;
                };
                match signature.forbid(bytes) {
                    Some(answer) => {
                        self.hub.refused(Refused::PEER);
                        Gate::Answer(answer)
                    }
                    None => Gate::Pass,
                }
            }
            Some(Request::Allocate { username: None } | Request::Binding | Request::Other)
            | None => Gate::Pass,
        }
    }

    /// Does what the protocol asks for.
    fn step(self: &Arc<Self>, state: &mut State, now: Duration) {
        while let Some(step) = state.protocol.step(now) {
            match step {
                Step::Say(bytes) => self.wire.send(&bytes),
                Step::Close(address) => {
                    state.relays.remove(&address);
                    self.hub.forget(address);
                }
                Step::Open(family) => {
                    let opened = self.open(state, family);
                    state.protocol.opened(family, opened, now);
                }
            }
        }
    }

    fn open(self: &Arc<Self>, state: &mut State, family: Family) -> Result<SocketAddr, NoRelay> {
        let Some((user, _)) = &state.owner else {
            return Err(NoRelay::Full);
        };
        let Some(place) = self.hub.quota.place(*user) else {
            self.hub.refused(Refused::QUOTA);
            return Err(NoRelay::Full);
        };
        let (socket, address) = self.hub.open(family, self)?;
        let reader = tokio::spawn(read(Arc::downgrade(self), socket.clone(), address));
        let relay = Relay {
            socket,
            reader: reader.abort_handle(),
            place,
        };
        state.relays.insert(address, relay);
        Ok(address)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what peers send to a relay, until it is closed.
async fn read(client: std::sync::Weak<Client>, socket: Arc<UdpSocket>, relay: SocketAddr) {
    let mut datagram = vec![0; DATAGRAM];
    loop {
        // The error of one datagram, such as a peer whose port is closed, says nothing about the next.
        let Ok((length, peer)) = socket.recv_from(&mut datagram).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let Some(client) = client.upgrade() else {
            return;
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        // Relays of this server reach one another without a socket; whatever else comes from this machine was asked for by nobody.
        if client.hub.may_hear(peer.ip()) {
            client.relayed(relay, peer, &datagram[..length]);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
}
