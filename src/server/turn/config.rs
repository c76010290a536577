//! Settings of the relay.

use clap::Args;
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
};

/// Options of `rialto serve` for the relay (STUN and TURN).
#[derive(Debug, Clone, Args)]
pub struct TurnConfig {
    /// Addresses on which the TURN relay for calls listens (UDP and TCP), comma-separated, or "off". Default: port 3478 on all
    /// addresses, or on loopback only if the site itself is only reachable from this machine.
    #[arg(long, env = "RIALTO_TURN_LISTEN", value_name = "ADDRESSES")]
    pub turn_listen: Option<ListenAddresses>,

    /// Addresses at which browsers reach the relay, comma-separated. Default: public addresses of the network interfaces, or the
    /// address that `--stun-server` reports.
    #[arg(
        long,
        env = "RIALTO_TURN_ADDRESS",
        default_value = "",
        value_name = "ADDRESSES"
    )]
    pub turn_address: IpAddresses,

    /// STUN server that reports the address of this machine if no interface has a public one, or "off".
    #[arg(
        long,
        env = "RIALTO_STUN_SERVER",
        default_value = "stun.cloudflare.com:3478",
        value_name = "HOST:PORT"
    )]
    pub stun_server: String,

    /// UDP ports that the relay uses for media. Open them to everyone in the firewall.
    #[arg(
        long,
        env = "RIALTO_TURN_PORTS",
        default_value = "49152-65535",
        value_name = "FIRST-LAST"
    )]
    pub turn_ports: PortRange,

    /// Private networks that the relay may send to, such as `10.1.0.0/16,fd00::/8`.
    #[arg(
        long,
        env = "RIALTO_TURN_PEERS",
        default_value = "",
        value_name = "NETWORKS"
    )]
    pub turn_peers: IpNetworks,

    /// Certificate (PEM, with its chain) that makes the relay available over TLS as well. It must be valid for the host of
    /// `--public-url`.
    #[arg(
        long,
        env = "RIALTO_TURN_CERTIFICATE",
        requires = "turn_key",
        value_name = "FILE"
    )]
    pub turn_certificate: Option<PathBuf>,

    /// Private key of the certificate (PEM).
    #[arg(
        long,
        env = "RIALTO_TURN_KEY",
        requires = "turn_certificate",
        value_name = "FILE"
    )]
    pub turn_key: Option<PathBuf>,

    /// Addresses on which the relay listens for TLS if a certificate is set, comma-separated.
    #[arg(
        long,
        env = "RIALTO_TURN_TLS_LISTEN",
        default_value = "0.0.0.0:5349,[::]:5349",
        value_name = "ADDRESSES"
    )]
    pub turn_tls_listen: ListenAddresses,

    /// URLs of an external TURN server to use instead, such as coturn with `use-auth-secret`: `turn:…` and `turns:…`,
    /// comma-separated (RFC 7065).
    #[arg(
        long,
        env = "RIALTO_TURN_URLS",
        value_delimiter = ',',
        value_parser = parse_turn_url,
        requires = "turn_secret",
        value_name = "URLS"
    )]
    pub turn_urls: Vec<String>,

    /// Secret that signs TURN credentials. Default: one generated and kept in the store.
    // Neither the help nor an error of clap shows the value.
    #[arg(
        long,
        env = "RIALTO_TURN_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub turn_secret: Option<String>,

    /// Sends calls only through the relay, unless a person chooses otherwise: nobody in a call learns another's IP address. Such calls
    /// take longer to connect and use the server's bandwidth.
    #[arg(
        long,
        env = "RIALTO_RELAY_ONLY",
        value_parser = clap::builder::BoolishValueParser::new(),
        default_value = "false",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        value_name = "BOOL",
        action = clap::ArgAction::Set
    )]
    pub relay_only: bool,

    /// Maximum number of relay allocations per user at a time. A call takes about four.
    #[arg(
        long,
        env = "RIALTO_TURN_USER_RELAYS",
        default_value_t = 40,
        value_name = "RELAYS"
    )]
    pub turn_user_relays: u32,

    /// Maximum number of relay allocations of all users together.
    #[arg(
        long,
        env = "RIALTO_TURN_RELAYS",
        default_value_t = 2_000,
        value_name = "RELAYS"
    )]
    pub turn_relays: u32,

    /// Maximum number of bytes per second relayed for one user, both directions together.
    #[arg(
        long,
        env = "RIALTO_TURN_USER_BYTES",
        default_value_t = 4_000_000,
        value_name = "BYTES"
    )]
    pub turn_user_bytes: u64,

    /// Maximum number of bytes per second relayed for all users together.
    #[arg(
        long,
        env = "RIALTO_TURN_BYTES",
        default_value_t = 125_000_000,
        value_name = "BYTES"
    )]
    pub turn_bytes: u64,
}

/// RFC 7065, as far as browsers need it.
pub(crate) fn parse_turn_url(text: &str) -> Result<String, String> {
    let address = text
        .strip_prefix("turn:")
        .or_else(|| text.strip_prefix("turns:"));
    match address {
        Some(address) if !address.is_empty() && !address.starts_with('/') => Ok(text.to_owned()),
        _ => Err(format!(
            "\"{text}\" is not the URL of a TURN server. Use the form turn:turn.example.org:3478?transport=udp"
        )),
    }
}

/// Addresses to listen on; empty for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddresses(pub Vec<SocketAddr>);

/// Turns a listener or a server option off.
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
                format!("\"{word}\" is not an IP address with a port. Use the form 0.0.0.0:3478,[::]:3478, or off")
            })
        });
        addresses.collect::<Result<_, _>>().map(Self)
    }
}

/// An inclusive range of ports, none of them 0.
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
                "\"{text}\" is not a port range. Use the form 49152-65535"
            )),
        }
    }
}

/// Comma-separated IP addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpAddresses(pub Vec<IpAddr>);

impl FromStr for IpAddresses {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let words = list.split(',').map(str::trim);
        let addresses = words.filter(|word| !word.is_empty()).map(|word| {
            word.parse()
                .map_err(|_| format!("\"{word}\" is not an IP address. Use the form 203.0.113.7"))
        });
        addresses.collect::<Result<_, _>>().map(Self)
    }
}

/// Comma-separated networks in CIDR notation.
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
        assert!(parse_turn_url("turn:turn.example.org").is_ok());
        assert!(parse_turn_url("turns:[2001:db8::7]:5349?transport=tcp").is_ok());
        for wrong in ["", "turn:", "https://x", "turn://x", "stun:x"] {
            assert!(
                parse_turn_url(wrong).is_err_and(|why| why.contains("turn:turn")),
                "{wrong}"
            );
        }
        assert_eq!("".parse(), Ok(IpNetworks::default()));
        assert!(
            "ten"
                .parse::<IpNetworks>()
                .unwrap_err()
                .contains("10.0.0.5")
        );
    }
}
