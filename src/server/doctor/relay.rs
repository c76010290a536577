//! Checks relays by sending packets through them, as two browsers in a call would.

use crate::{
    model::{UserId, call::IceServer, finding::Finding},
    server::{
        AppState,
        turn::{
            credentials::{Credential, RelayUser},
            probe::{Probe, ProbeError},
        },
    },
};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::lookup_host, time::Instant};
use uuid::Uuid;

/// Size of a video packet.
const PACKET_BYTES: usize = 1_100;
const PACKET_COUNT: usize = 20;

pub(super) async fn check_relays(app: &AppState) -> Vec<Finding> {
    let nobody = UserId(Uuid::nil());
    let servers = app.ice_servers(RelayUser::testing(nobody));
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

#[derive(Debug, Clone, Copy)]
enum RelayTransport {
    Udp,
    Tcp,
    Tls,
}

impl RelayTransport {
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

    /// RFC 7065.
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

/// Returns the first relayed address and the duration.
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
    // Frees the allocations before they expire.
    let _ = one.release().await;
    let _ = other.release().await;
    Ok((here, took))
}

struct RelayEndpoint {
    transport: RelayTransport,
    name: String,
    /// At least one.
    addresses: Vec<SocketAddr>,
}

impl RelayEndpoint {
    /// None if the URI's host cannot be resolved.
    async fn resolve(url: &str, way: RelayTransport) -> Option<Self> {
        let host = url.split_once(':')?.1.split('?').next()?;
        // Without the brackets of an IPv6 literal (RFC 3986 section 3.2.2).
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
