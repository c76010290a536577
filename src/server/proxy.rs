//! Client addresses behind trusted proxies.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::{
    net::IpAddr,
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
};

/// Every proxy can send it, unlike `Forwarded` (RFC 7239).
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Address of the client that sent a request; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Proxies whose `X-Forwarded-For` is accepted; others may forge it.
#[derive(Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    warned: AtomicBool,
}

impl Clone for TrustedProxies {
    fn clone(&self) -> Self {
        Self {
            networks: self.networks.clone(),
            warned: AtomicBool::default(),
        }
    }
}

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        Ok(Self {
            networks: parse_networks(list)?,
            warned: AtomicBool::default(),
        })
    }
}

/// Comma-separated addresses and networks (RFC 4632). The error is for the user.
pub(super) fn parse_networks(list: &str) -> Result<Vec<IpNet>, String> {
    let words = list.split(',').map(str::trim);
    let networks = words.filter(|word| !word.is_empty()).map(|word| {
        word.parse::<IpNet>()
            .or_else(|_| word.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                format!("\"{word}\" is not an IP address or network. Use the form 10.0.0.5,192.168.0.0/16")
            })
    });
    networks.collect()
}

impl TrustedProxies {
    /// Client address: the nearest that is not a trusted proxy.
    #[must_use]
    pub fn client_ip(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let forwarded = headers.get_all(FORWARDED_FOR);
        let mut addresses: Vec<&str> = forwarded
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        if !addresses.is_empty()
            && !self.trusts(client)
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                proxy = %client,
                "X-Forwarded-For from an untrusted proxy is ignored: its clients share one limit on sign-in attempts. If the proxy \
                 is yours, add it to --trusted-proxies"
            );
        }
        while self.trusts(client) {
            let Some(text) = addresses.pop() else { break };
            // No trusted proxy writes an invalid address.
            let Ok(address) = text.trim().parse::<IpAddr>() else {
                break;
            };
            client = address.to_canonical();
        }
        client
    }

    /// Whether this is the address of a trusted proxy.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_ip(trusted: &str, peer: &str, addresses: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for address in addresses {
            headers.append(FORWARDED_FOR, address.parse().unwrap());
        }
        let trusted: TrustedProxies = trusted.parse().unwrap();
        trusted
            .client_ip(peer.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn who_is_no_trusted_proxy_speaks_for_nobody_else() {
        assert_eq!(client_ip("", "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(
            client_ip("10.0.0.0/8", "192.0.2.1", &["198.51.100.7"]),
            "192.0.2.1"
        );
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_what_it_was_told_is_not() {
        let forged = &["203.0.113.9, 198.51.100.7"];
        assert_eq!(client_ip("10.0.0.5", "10.0.0.5", forged), "198.51.100.7");
        let two = &["203.0.113.9, 198.51.100.7", "10.0.0.6"];
        assert_eq!(
            client_ip("10.0.0.0/24", "::ffff:10.0.0.5", two),
            "198.51.100.7"
        );
    }

    #[test]
    fn a_proxy_that_says_nothing_sensible_stands_for_whoever_asks() {
        assert_eq!(client_ip("10.0.0.5", "10.0.0.5", &[]), "10.0.0.5");
        assert_eq!(client_ip("10.0.0.5", "10.0.0.5", &["unknown"]), "10.0.0.5");
        assert_eq!(client_ip("::1", "::1", &["2001:db8::7"]), "2001:db8::7");
    }

    #[test]
    fn what_is_no_network_is_refused_in_words() {
        let why = "10.0.0.0/8, proxy".parse::<TrustedProxies>().unwrap_err();
        assert!(why.contains("\"proxy\" is not an IP address"), "{why}");
    }
}
