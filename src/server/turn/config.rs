//! What can be set about the relay.

use clap::Args;
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
};

/// What `rialto serve` can be told about the relay of calls (STUN and TURN).
#[derive(Debug, Clone, Args)]
pub struct TurnConfig {
    /// Where the relay of calls listens, by UDP and TCP: addresses with commas in between, or "off". By default port 3478 of every
    /// address if the site is reached from elsewhere, and of this machine alone if it is not.
    #[arg(long, env = "RIALTO_TURN_LISTEN", value_name = "ADDRESSES")]
    pub turn_listen: Option<ListenAddresses>,

    /// The addresses at which browsers reach the relay, with commas in between; by default what the interfaces have, or what
    /// `--stun-server` sees.
    #[arg(
        long,
        env = "RIALTO_TURN_ADDRESS",
        default_value = "",
        value_name = "ADDRESSES"
    )]
    pub turn_address: IpAddresses,

    /// Who is asked for the address of this machine if no interface has a public one, or "off".
    #[arg(
        long,
        env = "RIALTO_STUN_SERVER",
        default_value = "stun.cloudflare.com:3478",
        value_name = "HOST:PORT"
    )]
    pub stun_server: String,

    /// The UDP ports that the relay uses for media: open them to everybody in a firewall.
    #[arg(
        long,
        env = "RIALTO_TURN_PORTS",
        default_value = "49152-65535",
        value_name = "FIRST-LAST"
    )]
    pub turn_ports: PortRange,

    /// Networks the relay may send to although they are not on the internet: `10.1.0.0/16,fd00::/8`.
    #[arg(
        long,
        env = "RIALTO_TURN_PEERS",
        default_value = "",
        value_name = "NETWORKS"
    )]
    pub turn_peers: IpNetworks,

    /// A certificate (PEM, with its chain) with which the relay is also reached by TLS; it has to be for the host of `--public-url`.
    #[arg(
        long,
        env = "RIALTO_TURN_CERTIFICATE",
        requires = "turn_key",
        value_name = "FILE"
    )]
    pub turn_certificate: Option<PathBuf>,

    /// The private key of the certificate (PEM).
    #[arg(
        long,
        env = "RIALTO_TURN_KEY",
        requires = "turn_certificate",
        value_name = "FILE"
    )]
    pub turn_key: Option<PathBuf>,

    /// Where the relay listens for TLS, if there is a certificate: addresses with commas in between.
    #[arg(
        long,
        env = "RIALTO_TURN_TLS_LISTEN",
        default_value = "0.0.0.0:5349,[::]:5349",
        value_name = "ADDRESSES"
    )]
    pub turn_tls_listen: ListenAddresses,

    /// Another TURN server to use instead, such as coturn with `use-auth-secret`: `turn:…` and `turns:…` addresses with commas in
    /// between (RFC 7065).
    #[arg(
        long,
        env = "RIALTO_TURN_URLS",
        value_delimiter = ',',
        requires = "turn_secret",
        value_name = "URLS"
    )]
    pub turn_urls: Vec<String>,

    /// The secret that credentials are made with; by default one that the store keeps.
    // Neither the help nor an error of clap's shows what is set.
    #[arg(
        long,
        env = "RIALTO_TURN_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub turn_secret: Option<String>,

    /// How many relays one person may have at a time: one call takes about four.
    #[arg(
        long,
        env = "RIALTO_TURN_USER_RELAYS",
        default_value_t = 40,
        value_name = "RELAYS"
    )]
    pub turn_user_relays: u32,

    /// How many relays all people together may have.
    #[arg(
        long,
        env = "RIALTO_TURN_RELAYS",
        default_value_t = 2_000,
        value_name = "RELAYS"
    )]
    pub turn_relays: u32,

    /// How much is relayed for one person, in bytes a second, both directions together.
    #[arg(
        long,
        env = "RIALTO_TURN_USER_BYTES",
        default_value_t = 4_000_000,
        value_name = "BYTES"
    )]
    pub turn_user_bytes: u64,

    /// How much is relayed for all people together, in bytes a second.
    #[arg(
        long,
        env = "RIALTO_TURN_BYTES",
        default_value_t = 125_000_000,
        value_name = "BYTES"
    )]
    pub turn_bytes: u64,
}

/// Where to listen; nowhere if there is nothing in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddresses(pub Vec<SocketAddr>);

/// The word for nowhere, and for nobody.
pub(in crate::server) const OFF: &str = "off";

impl FromStr for ListenAddresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == OFF {
            return Ok(Self(Vec::new()));
        }
        let addresses = text.split(',').map(|word| {
            let word = word.trim();
            word.parse().map_err(|_| {
                format!("\"{word}\" is no address with a port. Write it like 0.0.0.0:3478,[::]:3478, or off")
            })
        });
        addresses.collect::<Result<_, _>>().map(Self)
    }
}

/// Ports, from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange(pub RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text.split_once('-').and_then(|(first, last)| {
            let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
            Some((port(first)?, port(last)?))
        });
        match ends {
            Some((first, last)) if first <= last => Ok(Self(first..=last)),
            _ => Err(format!(
                "\"{text}\" is no range of ports. Write it like 49152-65535"
            )),
        }
    }
}

/// Addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpAddresses(pub Vec<IpAddr>);

impl FromStr for IpAddresses {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let words = list.split(',').map(str::trim);
        let addresses = words.filter(|word| !word.is_empty()).map(|word| {
            word.parse()
                .map_err(|_| format!("\"{word}\" is no address. Write it like 203.0.113.7"))
        });
        addresses.collect::<Result<_, _>>().map(Self)
    }
}

/// Networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpNetworks(pub Vec<IpNet>);

impl FromStr for IpNetworks {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        crate::server::proxy::parse_networks(list).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read_or_refused_in_words() {
        assert_eq!("off".parse(), Ok(ListenAddresses(Vec::new())));
        let two = "0.0.0.0:3478, [::]:3478"
            .parse::<ListenAddresses>()
            .unwrap();
        assert_eq!(two.0.len(), 2);
        assert!(
            "3478"
                .parse::<ListenAddresses>()
                .unwrap_err()
                .contains("0.0.0.0")
        );
        assert_eq!("50000-50010".parse(), Ok(PortRange(50_000..=50_010)));
        for wrong in ["", "50000", "0-10", "9-8", "1-70000"] {
            assert!(
                wrong.parse::<PortRange>().unwrap_err().contains("49152"),
                "{wrong}"
            );
        }
        assert_eq!("".parse(), Ok(IpAddresses::default()));
        assert!("here".parse::<IpAddresses>().unwrap_err().contains("203.0"));
        assert_eq!("".parse(), Ok(IpNetworks::default()));
        assert!(
            "ten"
                .parse::<IpNetworks>()
                .unwrap_err()
                .contains("10.0.0.5")
        );
    }
}
