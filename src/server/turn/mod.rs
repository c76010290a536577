//! The built-in STUN and TURN relay for calls (RFC 8489, RFC 8656), or an external one.
//!
//! The crate `turn-server-proto` implements the protocol, behind a trait. Ownership of allocations, permitted peers and
//! quotas are decided here ([decision 18](../../../docs/decisions/0018-built-in-turn-server.md)).

pub mod address;
mod client;
pub mod config;
pub mod credentials;
mod ended_calls;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hub;
mod message;
mod peer_filter;
mod permitted_peers;
pub mod probe;
mod protocol;
mod quota;
mod tcp;
mod udp;

pub use config::TurnConfig;
pub use peer_filter::is_public;

use super::{config::Config, metrics::Metrics, rate_limit::RateLimits, store::Store};
use crate::model::{Millis, call::IceServer};
use address::{AddressSource, ReachableAddresses};
use credentials::{RelayUser, TurnSecret};
use hub::Hub;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
};
use tcp::TcpServer;
use tokio::task::JoinSet;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use udp::UdpServer;

const DEFAULT_PORT: u16 = 3478;
const MAX_PORT_ATTEMPTS: u8 = 10;

/// ICE servers for calls.
#[derive(Debug, Clone)]
pub struct IceConfig {
    servers: Vec<IceServer>,
    /// Relays that need a credential.
    relay_urls: Vec<String>,
    relay_addresses: Vec<(IpAddr, AddressSource)>,
    secret: TurnSecret,
}

impl IceConfig {
    /// The configured servers, without a relay.
    #[must_use]
    pub fn without_relay(servers: Vec<IceServer>, secret: TurnSecret) -> Self {
        Self {
            servers,
            relay_urls: Vec::new(),
            relay_addresses: Vec::new(),
            secret,
        }
    }

    /// Addresses of the built-in relay; empty when it is off.
    #[must_use]
    pub fn relay_addresses(&self) -> &[(IpAddr, AddressSource)] {
        &self.relay_addresses
    }

    /// Whether there is a relay besides the servers that are configured by hand.
    #[must_use]
    pub fn has_relay(&self) -> bool {
        !self.relay_urls.is_empty()
    }

    /// Servers for a user, with a new credential.
    #[must_use]
    pub fn servers_for(&self, user: RelayUser, now: Millis) -> Vec<IceServer> {
        let mut servers = self.servers.clone();
        if !self.relay_urls.is_empty() {
            let credential = self.secret.issue(user, now);
            servers.push(IceServer {
                urls: self.relay_urls.clone(),
                username: Some(credential.username),
                credential: Some(credential.password),
            });
        }
        servers
    }
}

/// The running relay. Dropping it stops its listeners.
#[derive(Debug)]
pub struct TurnRelay {
    pub reachable: ReachableAddresses,
    /// As browsers receive them (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    _tasks: JoinSet<()>,
}

/// Starts the relay, unless it is off or an external one is configured.
///
/// # Errors
/// A text for the operator when a listen address or the certificate cannot be used.
pub async fn start(
    config: &Config,
    secret: TurnSecret,
    store: Store,
    limits: Arc<RateLimits>,
    metrics: Arc<Metrics>,
) -> Result<(IceConfig, Option<TurnRelay>), String> {
    let settings = &config.turn;
    let mut ice = IceConfig::without_relay(config.ice_servers.0.clone(), secret.clone());
    if !settings.turn_urls.is_empty() {
        ice.relay_urls.clone_from(&settings.turn_urls);
        return Ok((ice, None));
    }
    let Some((sockets, is_local)) = bind_sockets(config)? else {
        return Ok((ice, None));
    };
    let stun_server =
        Some(settings.stun_server.as_str()).filter(|ask| *ask != config::OFF && !is_local);
    let reachable = if is_local && settings.turn_address.0.is_empty() {
        ReachableAddresses {
            addresses: vec![(config.listen_address().ip(), AddressSource::LocalOnly)],
        }
    } else {
        address::find_reachable(&settings.turn_address.0, stun_server).await
    };
    let addresses: Vec<IpAddr> = reachable
        .addresses
        .iter()
        .map(|(address, _)| *address)
        .collect();
    let local: Vec<IpAddr> = address::interface_addresses();
    let hub = Hub::new(settings, secret, addresses.clone(), local, limits, metrics);
    let mut tasks = JoinSet::new();
    tasks.spawn(ended_calls::run(hub.clone(), store));
    let mut urls = Vec::new();
    for (udp, tcp) in sockets {
        let at = udp.local_addr().map_err(|why| why.to_string())?;
        for address in addresses
            .iter()
            .filter(|address| address.is_ipv4() == at.is_ipv4())
        {
            let host = SocketAddr::new(*address, at.port());
            urls.push(format!("stun:{host}"));
            urls.push(format!("turn:{host}?transport=udp"));
            urls.push(format!("turn:{host}?transport=tcp"));
        }
        let udp = UdpServer::new(hub.clone(), udp).map_err(|why| why.to_string())?;
        tasks.spawn(udp.run());
        tasks.spawn(TcpServer::new(hub.clone(), tcp, None).run());
    }
    if let (Some(certificate), Some(key)) = (&settings.turn_certificate, &settings.turn_key) {
        let tls = load_tls_acceptor(certificate, key)?;
        let host = config.public_host().ok_or(
            "--turn-certificate needs a host name that the certificate is for. Set --public-url as well",
        )?;
        for at in &settings.turn_tls_listen.0 {
            let listener = tcp::bind(*at).map_err(|why| listen_error(*at, &why))?;
            let port = listener.local_addr().map_err(|why| why.to_string())?.port();
            let url = format!("turns:{host}:{port}?transport=tcp");
            if !urls.contains(&url) {
                urls.push(url);
            }
            tasks.spawn(TcpServer::new(hub.clone(), listener, Some(tls.clone())).run());
        }
    }
    ice.relay_urls.clone_from(&urls);
    ice.relay_addresses.clone_from(&reachable.addresses);
    let turn = TurnRelay {
        reachable,
        urls,
        _tasks: tasks,
    };
    Ok((ice, Some(turn)))
}

type Sockets = Vec<(tokio::net::UdpSocket, tokio::net::TcpListener)>;

/// Also tells whether all sockets are on loopback. None when the relay is off.
fn bind_sockets(config: &Config) -> Result<Option<(Sockets, bool)>, String> {
    if let Some(listen) = &config.turn.turn_listen {
        if listen.0.is_empty() {
            return Ok(None);
        }
        let both = |at: &SocketAddr| bind_udp_and_tcp(*at).map_err(|why| listen_error(*at, &why));
        let sockets = listen.0.iter().map(both).collect::<Result<Vec<_>, _>>()?;
        let is_local = listen.0.iter().all(|at| at.ip().is_loopback());
        return Ok(Some((sockets, is_local)));
    }
    let is_local = config.is_for_this_machine();
    let addresses: Vec<IpAddr> = if is_local {
        vec![config.listen_address().ip()]
    } else {
        vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
    };
    let mut sockets = Vec::new();
    for ip in addresses {
        let at = SocketAddr::new(ip, DEFAULT_PORT);
        match bind_udp_and_tcp(at).or_else(|_| bind_udp_and_tcp(SocketAddr::new(ip, 0))) {
            Ok(pair) => sockets.push(pair),
            // The machine may have no IPv6.
            Err(_) if ip.is_ipv6() => {}
            Err(why) => return Err(listen_error(at, &why)),
        }
    }
    Ok(Some((sockets, is_local)))
}

/// Port 0 means any: where TCP has it taken, another is tried.
fn bind_udp_and_tcp(
    at: SocketAddr,
) -> io::Result<(tokio::net::UdpSocket, tokio::net::TcpListener)> {
    let mut tries = if at.port() == 0 { MAX_PORT_ATTEMPTS } else { 1 };
    loop {
        tries -= 1;
        let udp = udp::bind(at)?;
        match tcp::bind(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(why) if tries == 0 => return Err(why),
            Err(_) => {}
        }
    }
}

fn listen_error(at: SocketAddr, why: &io::Error) -> String {
    format!(
        "the TURN relay cannot listen on {at}: {why}. If another TURN server is running, set another address with \
         --turn-listen, or turn the relay off with --turn-listen off"
    )
}

fn load_tls_acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let cannot = |file: &Path, why: &dyn std::fmt::Display| {
        format!("the TURN relay cannot use {}: {why}", file.display())
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|why| cannot(certificate, &why))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|why| cannot(key, &why))?;
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|why| cannot(certificate, &why))?;
    Ok(TlsAcceptor::from(Arc::new(tls)))
}
