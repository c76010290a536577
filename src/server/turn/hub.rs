//! What all clients of the relay have in common.

use super::{
    client::Client,
    config::Settings,
    credentials::Secret,
    peers::Peers,
    protocol::{Family, NoRelay},
    quota::{Bound, Quota},
};
use crate::server::metrics::{Metrics, Refused};
use rand::Rng;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{net::UdpSocket, time::Instant};

/// How many ports are tried before there is none.
const PORTS: usize = 50;

/// What all clients have in common.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) secret: Secret,
    pub(super) realm: String,
    pub(super) quota: Arc<Quota>,
    peers: Peers,
    /// The addresses that relays have.
    addresses: Vec<IpAddr>,
    /// Of those, the ones this machine has itself; the others are somebody's who passes on what comes for us.
    local: Vec<IpAddr>,
    ports: RangeInclusive<u16>,
    /// Every relay that is open, by its address.
    relays: Mutex<HashMap<SocketAddr, Weak<Client>>>,
    metrics: Arc<Metrics>,
    began: Instant,
}

impl Hub {
    pub(super) fn new(
        settings: &Settings,
        secret: Secret,
        addresses: Vec<IpAddr>,
        local: Vec<IpAddr>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let own = addresses.iter().chain(&local).copied();
        let peers = Peers::new(own, &settings.turn_peers.0);
        let quota = Quota::new(
            Bound {
                relays: settings.turn_user_relays,
                bytes: settings.turn_user_bytes,
            },
            Bound {
                relays: settings.turn_relays,
                bytes: settings.turn_bytes,
            },
        );
        Arc::new(Self {
            secret,
            realm: "rialto".to_owned(),
            quota,
            peers,
            addresses,
            local,
            ports: settings.turn_ports.0.clone(),
            relays: Mutex::default(),
            metrics,
            began: Instant::now(),
        })
    }

    /// How long ago the server was started.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether a client may ask to send to an address. To the addresses of relays it may, for the one who is called may be at a relay as
    /// well; [`Self::relay`] sees to it that nothing else at them is reached.
    pub(super) fn may_reach(&self, peer: IpAddr) -> bool {
        self.addresses.contains(&peer.to_canonical()) || self.peers.allow(peer)
    }

    /// Whether something that came from an address is passed on.
    pub(super) fn may_hear(&self, peer: IpAddr) -> bool {
        !self.peers.is_own(peer)
    }

    /// Sends from a relay to a peer.
    pub(super) fn relay(&self, socket: &UdpSocket, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let at_relay = self.lock().get(&to).and_then(Weak::upgrade);
        if let Some(client) = at_relay {
            // Without a socket: whoever passes on what comes for our address may not do so for what comes from us.
            self.count(bytes.len());
            client.relayed(to, from, bytes);
        } else if self.peers.allow(to.ip()) {
            self.count(bytes.len());
            // What does not fit now is late already.
            drop(socket.try_send_to(bytes, to));
        } else {
            self.refused(Refused::PEER);
        }
    }

    /// Opens a relay for a client.
    pub(super) fn open(
        &self,
        family: Family,
        client: &Arc<Client>,
    ) -> Result<(Arc<UdpSocket>, SocketAddr), NoRelay> {
        let is_of = |address: &&IpAddr| address.is_ipv4() == (family == Family::V4);
        let address = *self.addresses.iter().find(is_of).ok_or(NoRelay::Family)?;
        let local = if self.local.contains(&address) {
            address
        } else {
            match family {
                Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
                Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
            }
        };
        for _ in 0..PORTS {
            let port = rand::rng().random_range(self.ports.clone());
            let Ok(socket) = bind(SocketAddr::new(local, port)) else {
                continue;
            };
            let address = SocketAddr::new(address, port);
            self.change(|relays| drop(relays.insert(address, Arc::downgrade(client))));
            return Ok((Arc::new(socket), address));
        }
        tracing::warn!(ports = ?self.ports, "no port was free for a relay of a call");
        Err(NoRelay::Full)
    }

    /// A relay is closed.
    pub(super) fn forget(&self, relay: SocketAddr) {
        self.change(|relays| drop(relays.remove(&relay)));
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<SocketAddr, Weak<Client>>)) {
        let mut relays = self.lock();
        change(&mut relays);
        let open = i64::try_from(relays.len()).unwrap_or(i64::MAX);
        self.metrics.relays.set(open);
    }

    /// So many bytes were relayed.
    pub(super) fn count(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.metrics.relay_bytes.inc_by(bytes);
    }

    /// Something was refused.
    pub(super) fn refused(&self, why: Refused) {
        self.metrics.relay_refused.get_or_create(&why).inc();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Weak<Client>>> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket for one call's media.
fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
