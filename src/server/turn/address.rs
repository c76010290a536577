//! Addresses at which others reach this machine.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};
use tokio::{net::lookup_host, time::timeout};
use turn_server_proto::types::stun::{
    attribute::XorMappedAddress,
    message::{BINDING, Message, MessageWriteVec},
    prelude::MessageWrite,
};

const MAX_STUN_ATTEMPTS: usize = 3;
const STUN_TIMEOUT: Duration = Duration::from_millis(700);

/// Source of an address, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressSource {
    /// Set with `--turn-address`.
    Configured,
    /// Public address of a network interface.
    Interface,
    /// Reported by this STUN server (RFC 8489).
    StunServer(String),
    /// An interface address that the internet cannot reach.
    LocalOnly,
}

/// Addresses at which this machine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachableAddresses {
    /// At most one per family, unless configured.
    pub addresses: Vec<(IpAddr, AddressSource)>,
}

/// Addresses of all network interfaces.
#[must_use]
pub fn interface_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces
        .into_iter()
        .map(|interface| interface.ip())
        .collect()
}

/// Finds this machine's addresses; `set` overrides all. Asks `stun_server` (`host:port`) if no interface has a public IPv4 address.
pub async fn find_reachable(set: &[IpAddr], stun_server: Option<&str>) -> ReachableAddresses {
    let mut addresses: Vec<_> = set
        .iter()
        .map(|set| (*set, AddressSource::Configured))
        .collect();
    if addresses.is_empty() {
        for is_wanted in [IpAddr::is_ipv4 as fn(&IpAddr) -> bool, IpAddr::is_ipv6] {
            let own: BTreeSet<_> = interface_addresses()
                .into_iter()
                .filter(is_wanted)
                .collect();
            let public = own.iter().find(|own| super::peer_filter::is_public(**own));
            if let Some(public) = public {
                addresses.push((*public, AddressSource::Interface));
            }
        }
        if !addresses.iter().any(|(address, _)| address.is_ipv4()) {
            let seen = match stun_server {
                Some(server) => find_reflexive_ip(server)
                    .await
                    .map(|seen| (seen, AddressSource::StunServer(server.to_owned()))),
                None => None,
            };
            addresses
                .extend(seen.or_else(|| Some((outbound_address()?, AddressSource::LocalOnly))));
        }
    }
    ReachableAddresses { addresses }
}

/// The IPv4 address that this machine sends from; nothing is sent.
fn outbound_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // TEST-NET-1 (RFC 5737): any remote address will do.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

/// The IPv4 address that a STUN server sees.
pub async fn find_reflexive_ip(server: &str) -> Option<IpAddr> {
    let server = lookup_host(server).await.ok()?.find(SocketAddr::is_ipv4)?;
    for _ in 0..MAX_STUN_ATTEMPTS {
        if let Ok(Ok(seen)) = timeout(STUN_TIMEOUT, request_binding(server)).await {
            return Some(seen.ip().to_canonical());
        }
    }
    None
}

/// Server-reflexive address of a new socket, from one Binding request.
///
/// # Errors
/// When the request cannot be sent, or the reply does not answer it.
pub async fn request_binding(server: SocketAddr) -> io::Result<SocketAddr> {
    let from = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = tokio::net::UdpSocket::bind(from).await?;
    socket.connect(server).await?;
    let request = Message::builder_request(BINDING, MessageWriteVec::new());
    let request = request.finish();
    socket.send(&request).await?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).await?;
    let read = || {
        let asked = Message::from_bytes(&request).ok()?;
        let answer = Message::from_bytes(&answer[..length]).ok()?;
        let is_ours = answer.transaction_id() == asked.transaction_id();
        let seen = answer.attribute::<XorMappedAddress>().ok()?;
        is_ours.then(|| seen.addr(answer.transaction_id()))
    };
    read().ok_or_else(|| io::ErrorKind::InvalidData.into())
}
