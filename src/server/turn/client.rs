//! One client of the relay: its socket, protocol and allocations. Authentication, permitted peers and quotas come
//! before the protocol.

use super::{
    credentials::{CredentialError, RelayUser},
    hub::Hub,
    message::{self, IntegrityKey, MAX_REQUEST_PEERS, StunRequest},
    permitted_peers::PermittedPeers,
    protocol::{AllocateError, IpFamily, Outcome, ProtocolAction, TurnProtocol, TurnServerProto},
    quota::AllocationPermit,
};
use crate::{
    model::CallId,
    server::{
        clock,
        metrics::RelayRefusalLabels,
        rate_limit::{Bound, Charge, Key, Place},
    },
};
use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::UdpSocket, sync::mpsc, task::AbortHandle};

/// An allocation takes two round trips.
pub(super) const UNALLOCATED_TIMEOUT: Duration = Duration::from_secs(30);
/// Larger than any unfragmented internet datagram.
pub(super) const MAX_DATAGRAM_BYTES: usize = 2_048;
/// Limits Allocate requests with a user name.
const MAX_ALLOCATE_ATTEMPTS: u8 = 8;

#[derive(Debug)]
pub(super) enum ClientTransport {
    Udp(Arc<UdpSocket>, SocketAddr),
    /// Queue of the task that writes to the connection.
    Stream(mpsc::Sender<Vec<u8>>),
}

impl ClientTransport {
    /// Drops what does not fit: late media are useless, and RFC 8656 promises no delivery.
    fn send(&self, bytes: &[u8]) {
        match self {
            Self::Udp(socket, to) => drop(socket.try_send_to(bytes, *to)),
            Self::Stream(queue) => {
                let mut bytes = bytes.to_vec();
                bytes.resize(bytes.len().next_multiple_of(message::FRAME_HEADER_BYTES), 0);
                drop(queue.try_send(bytes));
            }
        }
    }
}

pub(super) struct TurnClient {
    hub: Arc<Hub>,
    transport: ClientTransport,
    address: SocketAddr,
    state: Mutex<State>,
    /// Since the server started.
    first_seen: Duration,
}

struct State {
    protocol: Box<dyn TurnProtocol>,
    /// Of the last Allocate request.
    names_family: bool,
    /// Set by a correctly signed request, while there is no allocation.
    owner: Option<(RelayUser, IntegrityKey)>,
    allocate_attempts: u8,
    allocations: HashMap<SocketAddr, Allocation>,
    permitted_peers: PermittedPeers,
    closed: bool,
}

struct Allocation {
    socket: Arc<UdpSocket>,
    reader: AbortHandle,
    permit: AllocationPermit,
    _place: Place,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

enum FilterDecision {
    Pass,
    Reply(Vec<u8>),
    Drop,
}

impl TurnClient {
    pub(super) fn new(
        hub: Arc<Hub>,
        transport: ClientTransport,
        client: SocketAddr,
        listener: SocketAddr,
    ) -> Arc<Self> {
        let state = State {
            protocol: Box::new(TurnServerProto::new(client, listener, &hub.realm)),
            names_family: false,
            owner: None,
            allocate_attempts: 0,
            allocations: HashMap::new(),
            permitted_peers: PermittedPeers::default(),
            closed: false,
        };
        let first_seen = hub.elapsed();
        Arc::new(Self {
            hub,
            transport,
            address: client,
            state: Mutex::new(state),
            first_seen,
        })
    }

    pub(super) fn on_client_data(self: &Arc<Self>, bytes: &[u8]) {
        let now = self.hub.elapsed();
        let is_message = message::is_message(bytes);
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let decision = if is_message {
            self.filter_message(&mut state, bytes, now)
        } else {
            FilterDecision::Pass
        };
        let outcome = match decision {
            FilterDecision::Pass => state.protocol.on_client_data(bytes, now),
            FilterDecision::Reply(answer) => Outcome::SendToClient(answer),
            FilterDecision::Drop => Outcome::Nothing,
        };
        if is_message {
            self.perform_actions(&mut state, now);
        }
        match outcome {
            Outcome::Nothing => {}
            Outcome::SendToClient(bytes) => self.transport.send(&bytes),
            Outcome::SendToPeer { from, to, bytes } => {
                let Some(relay) = state.allocations.get(&from) else {
                    return;
                };
                if !relay.permit.allow(bytes.len(), now) {
                    return self.hub.count_refusal(RelayRefusalLabels::BANDWIDTH);
                }
                let socket = relay.socket.clone();
                // Delivery may lock another client that waits for this lock.
                drop(state);
                self.hub.send_to_peer(&socket, from, to, bytes);
            }
        }
    }

    pub(super) fn on_peer_data(&self, relay: SocketAddr, peer: SocketAddr, bytes: &[u8]) {
        let now = self.hub.elapsed();
        let mut output = Vec::new();
        let mut state = self.lock();
        let Some(allocation) = state.allocations.get(&relay) else {
            return;
        };
        if !allocation.permit.allow(bytes.len(), now) {
            return self.hub.count_refusal(RelayRefusalLabels::BANDWIDTH);
        }
        if state
            .protocol
            .on_peer_data(relay, peer, bytes, &mut output, now)
        {
            drop(state);
            self.hub.count_relayed_bytes(bytes.len());
            self.transport.send(&output);
        }
    }

    pub(super) fn count_oversized_frame(&self) {
        self.hub.count_refusal(RelayRefusalLabels::SIZE);
    }

    /// False if the client is to be removed.
    pub(super) fn expire(self: &Arc<Self>) -> bool {
        let now = self.hub.elapsed();
        let mut state = self.lock();
        self.perform_actions(&mut state, now);
        let is_idle = state.allocations.is_empty()
            && now.saturating_sub(self.first_seen) > UNALLOCATED_TIMEOUT;
        state.closed |= is_idle;
        !is_idle
    }

    pub(super) fn has_allocation(&self) -> bool {
        !self.lock().allocations.is_empty()
    }

    /// The call that its relays are for.
    pub(super) fn call(&self) -> Option<CallId> {
        let state = self.lock();
        let (user, _) = state.owner.as_ref()?;
        user.purpose.call()
    }

    pub(super) fn close(&self) {
        let relays = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.allocations)
        };
        for address in relays.keys() {
            self.hub.remove_allocation(*address);
        }
    }

    fn filter_message(&self, state: &mut State, bytes: &[u8], now: Duration) -> FilterDecision {
        if message::is_oversized_request(bytes) {
            self.hub.count_refusal(RelayRefusalLabels::SIZE);
            return FilterDecision::Drop;
        }
        let request = message::parse_request(bytes);
        if request.is_some() {
            let charge = Charge::new(Bound::TurnRequests, Key::Socket(self.address));
            if self.hub.limits.take([charge]).is_err() {
                self.hub.count_refusal(RelayRefusalLabels::REQUESTS);
                return FilterDecision::Drop;
            }
        }
        match request {
            Some(StunRequest::Allocate {
                username: Some(username),
                names_family,
            }) => {
                state.names_family = names_family;
                state.allocate_attempts = state.allocate_attempts.saturating_add(1);
                if state.allocate_attempts > MAX_ALLOCATE_ATTEMPTS {
                    return FilterDecision::Drop;
                }
                match self.hub.secret.parse_username(&username, clock::now()) {
                    Ok((user, password)) => {
                        let signature = IntegrityKey::new(&username, &password, &self.hub.realm);
                        if signature.verifies(bytes) {
                            // The protocol accepts no other user for existing allocations.
                            if state.allocations.is_empty() {
                                if self.hub.quota.is_reached(user) {
                                    return self.refuse(
                                        &signature,
                                        bytes,
                                        message::ALLOCATION_QUOTA_REACHED,
                                        RelayRefusalLabels::QUOTA,
                                    );
                                }
                                state.owner = Some((user, signature));
                            }
                            state.protocol.add_user(&username, &password);
                        } else {
                            self.hub.count_refusal(RelayRefusalLabels::FORGED);
                        }
                    }
                    Err(CredentialError::Expired) => {
                        self.hub.count_refusal(RelayRefusalLabels::EXPIRED);
                    }
                    Err(CredentialError::Invalid) => {
                        self.hub.count_refusal(RelayRefusalLabels::FORGED);
                    }
                }
                // The protocol rejects unknown users.
                FilterDecision::Pass
            }
            Some(StunRequest::PermitPeers { peers, .. }) if peers.len() > MAX_REQUEST_PEERS => {
                self.hub.count_refusal(RelayRefusalLabels::SIZE);
                FilterDecision::Drop
            }
            Some(StunRequest::PermitPeers {
                peers,
                binds_channel,
            }) => self.filter_peers(state, bytes, &peers, binds_channel, now),
            Some(
                StunRequest::Allocate { username: None, .. }
                | StunRequest::Binding
                | StunRequest::Other,
            )
            | None => FilterDecision::Pass,
        }
    }

    /// The protocol refuses a request that the owner has not signed.
    fn filter_peers(
        &self,
        state: &mut State,
        bytes: &[u8],
        peers: &[SocketAddr],
        binds_channel: bool,
        now: Duration,
    ) -> FilterDecision {
        let Some((_, signature)) = state
            .owner
            .as_ref()
            .filter(|(_, signature)| signature.verifies(bytes))
        else {
            return FilterDecision::Pass;
        };
        let (code, why) = if !peers.iter().all(|peer| self.hub.may_send_to(peer.ip())) {
            (message::FORBIDDEN, RelayRefusalLabels::PEER)
        } else if !state.permitted_peers.add(peers, binds_channel, now) {
            (message::INSUFFICIENT_CAPACITY, RelayRefusalLabels::QUOTA)
        } else {
            return FilterDecision::Pass;
        };
        self.refuse(signature, bytes, code, why)
    }

    fn refuse(
        &self,
        signature: &IntegrityKey,
        bytes: &[u8],
        code: u16,
        why: RelayRefusalLabels,
    ) -> FilterDecision {
        self.hub.count_refusal(why);
        signature
            .error_response(bytes, code)
            .map_or(FilterDecision::Drop, FilterDecision::Reply)
    }

    fn perform_actions(self: &Arc<Self>, state: &mut State, now: Duration) {
        while let Some(step) = state.protocol.poll_action(now) {
            match step {
                ProtocolAction::SendToClient(bytes) => self.transport.send(&bytes),
                ProtocolAction::CloseAllocation(address) => {
                    state.allocations.remove(&address);
                    if state.allocations.is_empty() {
                        state.permitted_peers = PermittedPeers::default();
                    }
                    self.hub.remove_allocation(address);
                }
                ProtocolAction::OpenAllocation(family) => {
                    let opened = self.open_allocation(state, family);
                    state.protocol.on_allocation_opened(family, opened, now);
                }
            }
        }
    }

    fn open_allocation(
        self: &Arc<Self>,
        state: &mut State,
        family: IpFamily,
    ) -> Result<SocketAddr, AllocateError> {
        let Some((user, _)) = &state.owner else {
            return Err(AllocateError::InsufficientCapacity);
        };
        let Some(permit) = self.hub.quota.try_acquire(*user) else {
            self.hub.count_refusal(RelayRefusalLabels::QUOTA);
            return Err(AllocateError::InsufficientCapacity);
        };
        let charge = Charge::new(Bound::TurnRelays, Key::address(self.address.ip()));
        let Ok(place) = self.hub.limits.open([charge]) else {
            self.hub.count_refusal(RelayRefusalLabels::QUOTA);
            return Err(AllocateError::InsufficientCapacity);
        };
        let (socket, address) = match self.hub.open_allocation(family, self) {
            // RFC 8656 section 7.2 means IPv4, which this server lacks: better a relay that IPv6 reaches than none.
            Err(AllocateError::UnsupportedFamily) if !state.names_family => {
                self.hub.open_allocation(IpFamily::V6, self)?
            }
            opened => opened?,
        };
        let reader = tokio::spawn(read_peer_data(
            Arc::downgrade(self),
            socket.clone(),
            address,
        ));
        let relay = Allocation {
            socket,
            reader: reader.abort_handle(),
            permit,
            _place: place,
        };
        state.allocations.insert(address, relay);
        Ok(address)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_peer_data(
    client: std::sync::Weak<TurnClient>,
    socket: Arc<UdpSocket>,
    relay: SocketAddr,
) {
    let mut datagram = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        // An error, such as a peer's closed port, belongs to one datagram.
        let Ok((length, peer)) = socket.recv_from(&mut datagram).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let Some(client) = client.upgrade() else {
            return;
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        // Allocations of this server reach each other in memory, so other packets from this machine are unsolicited.
        if client.hub.may_receive_from(peer.ip()) {
            client.on_peer_data(relay, peer, &datagram[..length]);
        }
    }
}

impl fmt::Debug for TurnClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnClient")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
