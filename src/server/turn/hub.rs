//! State shared by all clients of the relay.

use super::{
    client::TurnClient,
    config::TurnConfig,
    credentials::TurnSecret,
    peer_filter::PeerFilter,
    protocol::{AllocateError, IpFamily},
    quota::{Quota, QuotaLimits},
};
use crate::{
    model::CallId,
    server::{
        metrics::{Metrics, RelayRefusalLabels},
        random,
        rate_limit::RateLimits,
    },
};
use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{net::UdpSocket, time::Instant};

const MAX_PORT_ATTEMPTS: usize = 50;

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) secret: TurnSecret,
    pub(super) realm: String,
    pub(super) quota: Arc<Quota>,
    pub(super) limits: Arc<RateLimits>,
    peer_filter: PeerFilter,
    relay_addresses: Vec<IpAddr>,
    /// Other relay addresses belong to a NAT in front of the machine.
    interface_addresses: Vec<IpAddr>,
    ports: RangeInclusive<u16>,
    allocations: Mutex<HashMap<SocketAddr, Weak<TurnClient>>>,
    metrics: Arc<Metrics>,
    began: Instant,
}

impl Hub {
    pub(super) fn new(
        settings: &TurnConfig,
        secret: TurnSecret,
        addresses: Vec<IpAddr>,
        local: Vec<IpAddr>,
        limits: Arc<RateLimits>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let own = addresses.iter().chain(&local).copied();
        let peers = PeerFilter::new(own, &settings.turn_peers.0);
        let quota = Quota::new(
            QuotaLimits {
                max_allocations: settings.turn_user_relays,
                max_bytes_per_second: settings.turn_user_bytes,
            },
            QuotaLimits {
                max_allocations: settings.turn_relays,
                max_bytes_per_second: settings.turn_bytes,
            },
        );
        Arc::new(Self {
            secret,
            realm: "rialto".to_owned(),
            quota,
            limits,
            peer_filter: peers,
            relay_addresses: addresses,
            interface_addresses: local,
            ports: settings.turn_ports.0.clone(),
            allocations: Mutex::default(),
            metrics,
            began: Instant::now(),
        })
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The relay's own addresses are allowed: [`Self::send_to_peer`] reaches only allocations there.
    pub(super) fn may_send_to(&self, peer: IpAddr) -> bool {
        self.relay_addresses.contains(&peer.to_canonical()) || self.peer_filter.is_allowed(peer)
    }

    pub(super) fn may_receive_from(&self, peer: IpAddr) -> bool {
        !self.peer_filter.is_own(peer)
    }

    pub(super) fn send_to_peer(
        &self,
        socket: &UdpSocket,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) {
        let at_relay = self.lock().get(&to).and_then(Weak::upgrade);
        if let Some(client) = at_relay {
            // A NAT in front of the machine may not loop back packets.
            self.count_relayed_bytes(bytes.len());
            client.on_peer_data(to, from, bytes);
        } else if self.peer_filter.is_allowed(to.ip()) {
            self.count_relayed_bytes(bytes.len());
            // A packet that the socket cannot take now would arrive too late.
            drop(socket.try_send_to(bytes, to));
        } else {
            self.count_refusal(RelayRefusalLabels::PEER);
        }
    }

    pub(super) fn open_allocation(
        &self,
        family: IpFamily,
        client: &Arc<TurnClient>,
    ) -> Result<(Arc<UdpSocket>, SocketAddr), AllocateError> {
        let is_of = |address: &&IpAddr| address.is_ipv4() == (family == IpFamily::V4);
        let address = *self
            .relay_addresses
            .iter()
            .find(is_of)
            .ok_or(AllocateError::UnsupportedFamily)?;
        let local = if self.interface_addresses.contains(&address) {
            address
        } else {
            match family {
                IpFamily::V4 => Ipv4Addr::UNSPECIFIED.into(),
                IpFamily::V6 => Ipv6Addr::UNSPECIFIED.into(),
            }
        };
        for _ in 0..MAX_PORT_ATTEMPTS {
            let port = random::in_range(self.ports.clone());
            let Ok(socket) = bind(SocketAddr::new(local, port)) else {
                continue;
            };
            let address = SocketAddr::new(address, port);
            self.update_allocations(|relays| drop(relays.insert(address, Arc::downgrade(client))));
            return Ok((Arc::new(socket), address));
        }
        tracing::warn!(ports = ?self.ports, "no free port for a TURN allocation");
        Err(AllocateError::InsufficientCapacity)
    }

    pub(super) fn remove_allocation(&self, relay: SocketAddr) {
        self.update_allocations(|relays| drop(relays.remove(&relay)));
    }

    /// Calls that have a relay.
    pub(super) fn relayed_calls(&self) -> HashSet<CallId> {
        let clients = self.clients();
        clients.iter().filter_map(|client| client.call()).collect()
    }

    pub(super) fn close_relays_of(&self, call: CallId) {
        for client in self.clients() {
            if client.call() == Some(call) {
                client.close();
            }
        }
    }

    fn clients(&self) -> Vec<Arc<TurnClient>> {
        self.lock().values().filter_map(Weak::upgrade).collect()
    }

    fn update_allocations(&self, change: impl FnOnce(&mut HashMap<SocketAddr, Weak<TurnClient>>)) {
        let mut relays = self.lock();
        change(&mut relays);
        let open = i64::try_from(relays.len()).unwrap_or(i64::MAX);
        self.metrics.relays.set(open);
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn allocation_count(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn count_relayed_bytes(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.metrics.relay_bytes.inc_by(bytes);
    }

    pub(super) fn count_refusal(&self, why: RelayRefusalLabels) {
        self.metrics.relay_refused.get_or_create(&why).inc();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Weak<TurnClient>>> {
        self.allocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
