//! Self-test of whether calls can connect through this server, for `rialto doctor` and the Administration page. Every check acts
//! as a browser would, from this machine.

use super::{
    AppState,
    config::Config,
    turn::{
        address::{self, AddressSource},
        credentials::Credential,
        probe::{Probe, ProbeError},
    },
};
use crate::model::{CallId, UserId, call::IceServer, finding::Finding};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::lookup_host,
    time::{Instant, timeout},
};
use uuid::Uuid;

/// How long another server may take to answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum clock offset, in milliseconds. Credentials last ten minutes.
const MAX_CLOCK_OFFSET_MS: i64 = 30_000;
/// Size of a test packet through a relay, in bytes: that of a video packet.
const PACKET_BYTES: usize = 1_100;
/// Number of test packets sent through a relay.
const PACKET_COUNT: usize = 20;

/// Runs all checks. Takes some seconds if a server does not answer.
pub async fn run_checks(app: &AppState) -> Vec<Finding> {
    let config = &app.config;
    let (store, site, clock, addresses, relays) = tokio::join!(
        check_store(app),
        check_public_url(config),
        check_clock(config),
        check_relay_addresses(app),
        check_relays(app)
    );
    let mut findings = vec![store, check_https(config)];
    findings.extend(site);
    findings.push(clock);
    findings.extend(addresses);
    findings.extend(relays);
    findings
}

async fn check_store(app: &AppState) -> Finding {
    const CHECK_NAME: &str = "Store";
    match app.store.check().await {
        Ok(()) => Finding::ok(CHECK_NAME, "Working."),
        Err(why) => Finding::problem(
            CHECK_NAME,
            format!("Cannot be read or written: {why}."),
            "Check that the database runs and the disk is not full.",
        ),
    }
}

fn check_https(config: &Config) -> Finding {
    const CHECK_NAME: &str = "HTTPS";
    match &config.public_url {
        Some(url) if config.is_https() => Finding::ok(CHECK_NAME, format!("Public URL: {url}.")),
        Some(url) if config.has_local_url() => Finding::ok(
            CHECK_NAME,
            format!("The public URL is {url}, which browsers on this machine treat as secure."),
        ),
        Some(url) => Finding::problem(
            CHECK_NAME,
            format!(
                "The public URL is {url}. Browsers block camera and microphone on pages without https."
            ),
            "Put a TLS proxy in front, and set --public-url to its https URL.",
        ),
        None if config.listen_address().ip().is_loopback() => Finding::ok(
            CHECK_NAME,
            "Only this machine can open the pages, and its browsers treat them as secure.",
        ),
        None => Finding::problem(
            CHECK_NAME,
            format!(
                "The public URL is http://{}. Browsers block camera and microphone on pages without https.",
                config.listen_address()
            ),
            "Put a TLS proxy in front, and set --public-url to its https URL.",
        ),
    }
}

/// Checks that the public URL leads to this server.
async fn check_public_url(config: &Config) -> Option<Finding> {
    const CHECK_NAME: &str = "Public URL";
    let url = config.public_url.as_deref()?;
    let ask = async {
        let client = reqwest::Client::builder().timeout(CHECK_TIMEOUT).build()?;
        let address = format!("{}/healthz", url.trim_end_matches('/'));
        client
            .get(address)
            .send()
            .await?
            .error_for_status()?
            .text()
            .await
    };
    Some(match ask.await {
        Ok(text) if text == "ok" => Finding::ok(CHECK_NAME, format!("{url} reaches this server.")),
        Ok(_) => Finding::problem(
            CHECK_NAME,
            format!("{url} is answered by another server."),
            "Check the proxy configuration and the DNS entry.",
        ),
        Err(why) => Finding::warning(
            CHECK_NAME,
            format!(
                "{url} cannot be reached from this machine: {}.",
                why.without_url()
            ),
            "If browsers elsewhere can open it, ignore this. Otherwise check the proxy, the certificate and the DNS entry.",
        ),
    })
}

async fn check_clock(config: &Config) -> Finding {
    const CHECK_NAME: &str = "Clock";
    let server = config.time_server.as_str();
    if server == super::turn::config::OFF {
        return Finding::warning(
            CHECK_NAME,
            "Not checked, because --time-server is off.",
            "Make sure that the system synchronises its clock: TURN credentials last ten minutes.",
        );
    }
    let client = rsntp::AsyncSntpClient::new();
    let asked = timeout(CHECK_TIMEOUT, client.synchronize(server)).await;
    let Ok(Ok(answer)) = asked else {
        return Finding::warning(
            CHECK_NAME,
            format!("Not checked: {server} does not answer."),
            "Make sure that the system synchronises its clock (see timedatectl): TURN credentials last ten minutes.",
        );
    };
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds fit")]
    let off = (answer.clock_offset().as_secs_f64() * 1_000.0) as i64;
    if off.abs() > MAX_CLOCK_OFFSET_MS {
        Finding::problem(
            CHECK_NAME,
            format!("{} s off, compared with {server}.", off.abs() / 1_000),
            "Turn clock synchronisation on: timedatectl set-ntp true.",
        )
    } else {
        Finding::ok(
            CHECK_NAME,
            format!("{} ms off, compared with {server}.", off.abs()),
        )
    }
}

/// Checks the addresses that the relay announces.
async fn check_relay_addresses(app: &AppState) -> Vec<Finding> {
    const CHECK_NAME: &str = "TURN address";
    let Some(ice) = app.ice.get() else {
        return Vec::new();
    };
    let stun = Some(app.config.turn.stun_server.as_str())
        .filter(|server| *server != super::turn::config::OFF);
    let mut findings = Vec::new();
    for (address, source) in ice.relay_addresses() {
        let is_public = super::turn::is_public(*address);
        findings.push(match source {
            AddressSource::LocalOnly if address.is_loopback() => Finding::ok(
                CHECK_NAME,
                format!("{address} is reachable only from this machine, like the pages."),
            ),
            AddressSource::LocalOnly => Finding::problem(
                CHECK_NAME,
                format!("{address} is reachable only from the local network."),
                "Set --turn-address to the public address of this machine.",
            ),
            AddressSource::Configured if !is_public => Finding::warning(
                CHECK_NAME,
                format!("{address} is set, but it is not a public address."),
                "For calls over the internet, set --turn-address to the public address of this machine.",
            ),
            AddressSource::Configured => match stun {
                Some(server) => check_stun_address(*address, server).await,
                None => Finding::ok(CHECK_NAME, format!("{address} is set.")),
            },
            AddressSource::Interface => Finding::ok(CHECK_NAME, format!("{address} is an address of this machine.")),
            AddressSource::StunServer(by) => Finding::ok(CHECK_NAME, format!("{by} reports {address}.")),
        });
    }
    findings
}

/// Compares the configured relay address with the one a STUN server sees.
async fn check_stun_address(set: IpAddr, server: &str) -> Finding {
    const CHECK_NAME: &str = "TURN address";
    match address::find_reflexive_ip(server).await {
        Some(seen) if seen == set || set.is_ipv6() => Finding::ok(
            CHECK_NAME,
            format!("{set} is set, and {server} confirms it."),
        ),
        Some(seen) => Finding::warning(
            CHECK_NAME,
            format!("{set} is set, but according to {server} this machine has {seen}."),
            "Check which of them is reachable, and set --turn-address to it.",
        ),
        None => Finding::ok(
            CHECK_NAME,
            format!("{set} is set. Not confirmed: {server} does not answer."),
        ),
    }
}

/// Checks every transport of every relay.
async fn check_relays(app: &AppState) -> Vec<Finding> {
    let nobody = UserId(Uuid::nil());
    let servers = app.ice_servers(nobody, CallId(Uuid::nil()));
    let mut findings = Vec::new();
    for server in &servers {
        for url in &server.urls {
            if let Some(way) = RelayTransport::from_url(url) {
                findings.push(check_relay(url, way, server).await);
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::problem(
            "Relay",
            "No TURN server: calls fail where no direct connection is possible.",
            "Leave --turn-listen at its default, or set another TURN server with --turn-urls.",
        ));
    }
    findings
}

/// Transport to a relay.
#[derive(Debug, Clone, Copy)]
enum RelayTransport {
    Udp,
    Tcp,
    Tls,
}

impl RelayTransport {
    /// Transport of a TURN URI (RFC 7065). None for other URIs.
    fn from_url(url: &str) -> Option<Self> {
        if url.starts_with("turns:") {
            Some(Self::Tls)
        } else if !url.starts_with("turn:") {
            None
        } else if url.ends_with("transport=tcp") {
            Some(Self::Tcp)
        } else {
            Some(Self::Udp)
        }
    }

    /// Default port of a TURN URI (RFC 7065).
    fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 3_478,
            Self::Tls => 5_349,
        }
    }
}

async fn check_relay(url: &str, transport: RelayTransport, server: &IceServer) -> Finding {
    let what = match transport {
        RelayTransport::Udp => "Relay over UDP",
        RelayTransport::Tcp => "Relay over TCP",
        RelayTransport::Tls => "Relay over TLS",
    };
    match measure_relay(url, transport, server).await {
        Ok((at, took)) => {
            let micros = took.as_micros();
            Finding::ok(
                what,
                format!(
                    "{url} allocated {at}; {PACKET_COUNT} packets made the round trip in {}.{:03} ms.",
                    micros / 1_000,
                    micros % 1_000
                ),
            )
        }
        Err(RelayCheckError::HostNotFound) => Finding::problem(
            what,
            format!("The host name of {url} cannot be resolved."),
            "Check the DNS entry.",
        ),
        Err(RelayCheckError::Probe(why)) => Finding::problem(
            what,
            format!("{url} does not work: {why}."),
            advice(&why, transport),
        ),
        Err(RelayCheckError::PacketLost) => Finding::problem(
            what,
            format!("{url} allocated relays, but packets sent through them were lost."),
            "Open the UDP ports of --turn-ports in the firewall, in and out.",
        ),
    }
}

fn advice(why: &ProbeError, transport: RelayTransport) -> &'static str {
    match why {
        ProbeError::Refused(401 | 441) => {
            "Use the same secret for Rialto (--turn-secret) and the TURN server, and compare their clocks."
        }
        ProbeError::Refused(486 | 508) => {
            "Allow more relays (--turn-relays, --turn-user-relays) or more ports (--turn-ports)."
        }
        ProbeError::Refused(_) | ProbeError::InvalidResponse => {
            "Check the log of the TURN server for the cause."
        }
        ProbeError::Tls(rustls::Error::InvalidCertificate(_)) => {
            "Install a valid, unexpired certificate for that name, with its whole chain (--turn-certificate for the built-in TURN server)."
        }
        ProbeError::Tls(_) => {
            "Install root certificates on this machine (Debian: ca-certificates)."
        }
        ProbeError::Timeout | ProbeError::Io(_) => match transport {
            RelayTransport::Udp => "Open its UDP port in the firewall.",
            RelayTransport::Tcp | RelayTransport::Tls => "Open its TCP port in the firewall.",
        },
    }
}

enum RelayCheckError {
    HostNotFound,
    Probe(ProbeError),
    PacketLost,
}

impl From<ProbeError> for RelayCheckError {
    fn from(why: ProbeError) -> Self {
        Self::Probe(why)
    }
}

/// Sends packets between two clients with one allocation each, and back. Returns the first relayed address and the duration.
async fn measure_relay(
    url: &str,
    transport: RelayTransport,
    server: &IceServer,
) -> Result<(SocketAddr, Duration), RelayCheckError> {
    let place = RelayEndpoint::resolve(url, transport)
        .await
        .ok_or(RelayCheckError::HostNotFound)?;
    let credential = Credential {
        username: server.username.clone().unwrap_or_default(),
        password: server.credential.clone().unwrap_or_default(),
    };
    let mut one = place.connect(credential.clone()).await?;
    let mut other = place.connect(credential).await?;
    let (here, there) = (one.allocate().await?, other.allocate().await?);
    one.create_permission(there).await?;
    other.create_permission(here).await?;
    let began = Instant::now();
    for n in 0..PACKET_COUNT {
        let packet = vec![u8::try_from(n).unwrap_or_default(); PACKET_BYTES];
        one.send_indication(there, &packet).await?;
        let came = other
            .receive()
            .await
            .map_err(|_| RelayCheckError::PacketLost)?;
        other.send_indication(here, &came).await?;
        let back = one
            .receive()
            .await
            .map_err(|_| RelayCheckError::PacketLost)?;
        if back != packet {
            return Err(RelayCheckError::PacketLost);
        }
    }
    let took = began.elapsed();
    // Frees the allocations before they expire. A failure is harmless.
    let _ = one.release().await;
    let _ = other.release().await;
    Ok((here, took))
}

/// Address of a relay, and its transport.
struct RelayEndpoint {
    transport: RelayTransport,
    name: String,
    /// Resolved addresses, at least one.
    addresses: Vec<SocketAddr>,
}

impl RelayEndpoint {
    /// Resolves a TURN URI. None if the host cannot be resolved.
    async fn resolve(url: &str, way: RelayTransport) -> Option<Self> {
        let host = url.split_once(':')?.1.split('?').next()?;
        // The name is without the brackets of an IPv6 literal (RFC 3986 section 3.2.2).
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()?),
            _ => (host, way.default_port()),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<_> = lookup_host((name, port)).await.ok()?.collect();
        (!addresses.is_empty()).then(|| Self {
            transport: way,
            name: name.to_owned(),
            addresses,
        })
    }

    async fn connect(&self, credential: Credential) -> Result<Probe, ProbeError> {
        let addresses = self.addresses.as_slice();
        match self.transport {
            RelayTransport::Udp => Probe::connect_udp(addresses[0], credential).await,
            RelayTransport::Tcp => Probe::connect_tcp(addresses, credential).await,
            RelayTransport::Tls => Probe::connect_tls(addresses, &self.name, credential).await,
        }
    }
}
