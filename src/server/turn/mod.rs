//! STUN and TURN, so that calls connect from behind any router: the relay inside the program (RFC 8489, RFC 8656), or another one.
//!
//! A browser asks for a relay with a credential that it was given with its call, and is from then on reached at an address of this
//! machine. The messages are understood by the crate `turn-server-proto`, behind a trait; whose a relay is, to whom it may send and
//! how much, is decided here ([decision 18](../../../docs/decisions/0018-the-relay-inside.md)).
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | what can be set |
//! | [`credentials`] | names and passwords that no list is kept of |
//! | [`address`] | at which addresses this machine is reached |
//! | `hub` | what all clients have in common: relays by address, and bounds |
//! | `client` | one client and its relays |
//! | `protocol` | the protocol of one client, without a socket |
//! | `message` | messages that are read or answered before the protocol sees them |
//! | `peers` | to whom the relay may send |
//! | `quota` | how much it may be used |
//! | `udp`, `tcp` | how clients come |
//! | [`probe`] | the other end: whether a relay does what it should |

pub mod address;
mod client;
pub mod config;
pub mod credentials;
mod hub;
mod message;
mod peers;
pub mod probe;
mod protocol;
mod quota;
mod tcp;
mod udp;

pub use config::Settings;
pub use peers::is_public;

use super::{config::Config, metrics::Metrics};
use crate::model::{CallId, Millis, UserId, call::IceServer};
use address::{Reachable, Source};
use credentials::Secret;
use hub::Hub;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
};
use tcp::Tcp;
use tokio::task::JoinSet;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use udp::Udp;

/// The port of STUN and TURN.
const PORT: u16 = 3478;
/// How many ports are tried where any would do.
const PORT_TRIES: u8 = 10;

/// How browsers find a path: what they are told when a call begins.
#[derive(Debug, Clone)]
pub struct Ice {
    /// As they were set, the same for everybody.
    servers: Vec<IceServer>,
    /// Relays, to be used with a credential.
    urls: Vec<String>,
    /// At which addresses our own is reached, and how that was found out.
    addresses: Vec<(IpAddr, Source)>,
    secret: Secret,
}

impl Ice {
    /// Only what was set: nothing is relayed.
    #[must_use]
    pub fn without_relay(servers: Vec<IceServer>, secret: Secret) -> Self {
        Self {
            servers,
            urls: Vec::new(),
            addresses: Vec::new(),
            secret,
        }
    }

    /// At which addresses our own relay is reached, and how that was found out; none when it is off.
    #[must_use]
    pub fn addresses(&self) -> &[(IpAddr, Source)] {
        &self.addresses
    }

    /// What a user is told for a call, with a credential that is good from now on.
    #[must_use]
    pub fn servers(&self, user: UserId, call: CallId, now: Millis) -> Vec<IceServer> {
        let mut servers = self.servers.clone();
        if !self.urls.is_empty() {
            let credential = self.secret.issue(user, call, now);
            servers.push(IceServer {
                urls: self.urls.clone(),
                username: Some(credential.username),
                credential: Some(credential.password),
            });
        }
        servers
    }
}

/// The relay, once it listens. It ends when dropped.
#[derive(Debug)]
pub struct Turn {
    /// Where it is reached, and how that was found out.
    pub reachable: Reachable,
    /// Its addresses as browsers are told them (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    _tasks: JoinSet<()>,
}

/// Starts the relay, unless it is off or another one is used. What browsers are told, and the relay.
///
/// # Errors
/// In words: when an address that was set cannot be listened on, or the certificate cannot be used.
pub async fn start(
    config: &Config,
    secret: Secret,
    metrics: Arc<Metrics>,
) -> Result<(Ice, Option<Turn>), String> {
    let settings = &config.turn;
    let mut ice = Ice::without_relay(config.ice_servers.0.clone(), secret.clone());
    if !settings.turn_urls.is_empty() {
        ice.urls.clone_from(&settings.turn_urls);
        return Ok((ice, None));
    }
    let Some((sockets, is_local)) = listen(config)? else {
        return Ok((ice, None));
    };
    let ask = Some(settings.stun_server.as_str()).filter(|ask| *ask != config::OFF && !is_local);
    let reachable = if is_local && settings.turn_address.0.is_empty() {
        Reachable {
            addresses: vec![(config.listen.ip(), Source::Local)],
        }
    } else {
        address::find(&settings.turn_address.0, ask).await
    };
    let addresses: Vec<IpAddr> = reachable
        .addresses
        .iter()
        .map(|(address, _)| *address)
        .collect();
    let local: Vec<IpAddr> = address::own();
    let hub = Hub::new(settings, secret, addresses.clone(), local, metrics);
    let mut tasks = JoinSet::new();
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
        let udp = Udp::new(hub.clone(), udp).map_err(|why| why.to_string())?;
        tasks.spawn(udp.run());
        tasks.spawn(Tcp::new(hub.clone(), tcp, None).run());
    }
    if let (Some(certificate), Some(key)) = (&settings.turn_certificate, &settings.turn_key) {
        let tls = acceptor(certificate, key)?;
        let host = config.public_host().ok_or(
            "--turn-certificate: browsers have to be told a name that the certificate is for. Set --public-url as well",
        )?;
        for at in &settings.turn_tls_listen.0 {
            let listener = tcp::bind(*at).map_err(|why| cannot_listen(*at, &why))?;
            let port = listener.local_addr().map_err(|why| why.to_string())?.port();
            let url = format!("turns:{host}:{port}?transport=tcp");
            if !urls.contains(&url) {
                urls.push(url);
            }
            tasks.spawn(Tcp::new(hub.clone(), listener, Some(tls.clone())).run());
        }
    }
    ice.urls.clone_from(&urls);
    ice.addresses.clone_from(&reachable.addresses);
    let turn = Turn {
        reachable,
        urls,
        _tasks: tasks,
    };
    Ok((ice, Some(turn)))
}

type Sockets = Vec<(tokio::net::UdpSocket, tokio::net::TcpListener)>;

/// Opens the sockets; also whether they are for this machine alone. None when the relay is off.
fn listen(config: &Config) -> Result<Option<(Sockets, bool)>, String> {
    if let Some(listen) = &config.turn.turn_listen {
        if listen.0.is_empty() {
            return Ok(None);
        }
        let both = |at: &SocketAddr| pair(*at).map_err(|why| cannot_listen(*at, &why));
        let sockets = listen.0.iter().map(both).collect::<Result<Vec<_>, _>>()?;
        let is_local = listen.0.iter().all(|at| at.ip().is_loopback());
        return Ok(Some((sockets, is_local)));
    }
    let is_local = config.is_for_this_machine();
    let addresses: Vec<IpAddr> = if is_local {
        vec![config.listen.ip()]
    } else {
        vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
    };
    let mut sockets = Vec::new();
    for ip in addresses {
        let at = SocketAddr::new(ip, PORT);
        match pair(at).or_else(|_| pair(SocketAddr::new(ip, 0))) {
            Ok(pair) => sockets.push(pair),
            // A machine without IPv6 does without.
            Err(_) if ip.is_ipv6() => {}
            Err(why) => return Err(cannot_listen(at, &why)),
        }
    }
    Ok(Some((sockets, is_local)))
}

/// Both ways to the relay, at the same port. Of any free port, the other way may be taken: then it is another one.
fn pair(at: SocketAddr) -> io::Result<(tokio::net::UdpSocket, tokio::net::TcpListener)> {
    let mut tries = if at.port() == 0 { PORT_TRIES } else { 1 };
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

fn cannot_listen(at: SocketAddr, why: &io::Error) -> String {
    format!(
        "the relay of calls cannot listen on {at}: {why}. Is another TURN server running? Say where with --turn-listen, or turn \
         it off with --turn-listen off"
    )
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let cannot = |file: &Path, why: &dyn std::fmt::Display| {
        format!("the relay of calls cannot use {}: {why}", file.display())
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
