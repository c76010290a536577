//! Permitted peers: public addresses only. Otherwise a relay would open its own network to clients (RFC 8656 section
//! 21.1.3).

use ipnet::IpNet;
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

/// Networks without public hosts (RFC 6890 and its IANA registries).
static SPECIAL_PURPOSE_NETWORKS: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let networks = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/127",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ];
    let networks = networks.iter().map(|network| network.parse());
    networks.map_while(Result::ok).collect()
});

/// With the byte offset of the embedded address (RFC 6052, RFC 3056).
static IPV4_EMBEDDING_PREFIXES: [(&str, usize); 2] = [("64:ff9b::/96", 12), ("2002::/16", 2)];

#[derive(Debug, Default)]
pub(super) struct PeerFilter {
    own_addresses: HashSet<IpAddr>,
    /// Exceptions, by configuration.
    allowed_networks: Vec<IpNet>,
}

impl PeerFilter {
    pub(super) fn new(own: impl IntoIterator<Item = IpAddr>, allowed: &[IpNet]) -> Self {
        Self {
            own_addresses: own.into_iter().map(|own| own.to_canonical()).collect(),
            allowed_networks: allowed.to_vec(),
        }
    }

    pub(super) fn is_allowed(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        if self.own_addresses.contains(&peer) {
            return false;
        }
        if self
            .allowed_networks
            .iter()
            .any(|network| network.contains(&peer))
        {
            return true;
        }
        !is_special_purpose(peer)
    }

    pub(super) fn is_own(&self, peer: IpAddr) -> bool {
        self.own_addresses.contains(&peer.to_canonical())
    }
}

/// Whether an address is in no special-purpose network.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    !is_special_purpose(address.to_canonical())
}

fn is_special_purpose(peer: IpAddr) -> bool {
    let special = SPECIAL_PURPOSE_NETWORKS
        .iter()
        .any(|network| network.contains(&peer));
    match peer {
        IpAddr::V4(_) => special,
        IpAddr::V6(peer) => {
            special || embedded_ipv4(peer).is_some_and(|peer| is_special_purpose(peer.into()))
        }
    }
}

fn embedded_ipv4(peer: Ipv6Addr) -> Option<Ipv4Addr> {
    let (_, at) = IPV4_EMBEDDING_PREFIXES.iter().find(|(network, _)| {
        let network = network.parse::<IpNet>();
        network.is_ok_and(|network| network.contains(&IpAddr::V6(peer)))
    })?;
    let bytes = peer.octets();
    let bytes: [u8; 4] = bytes.get(*at..at + 4)?.try_into().ok()?;
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(peers: &PeerFilter, peer: &str) -> bool {
        peers.is_allowed(peer.parse().unwrap())
    }

    #[test]
    fn every_network_is_written_as_it_should_be() {
        assert_eq!(SPECIAL_PURPOSE_NETWORKS.len(), 24);
    }

    #[test]
    fn it_sends_to_the_internet_and_nowhere_else() {
        let peers = PeerFilter::default();
        for peer in [
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert!(is_allowed(&peers, peer), "{peer}");
        }
        for peer in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "224.0.0.251",
            "255.255.255.255",
            "::",
            "::1",
            "fd00::1",
            "fe80::1",
            "ff02::fb",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "2002:7f00:1::1",
            "2002:a00:1::1",
        ] {
            assert!(!is_allowed(&peers, peer), "{peer}");
        }
    }

    #[test]
    fn what_somebody_allowed_is_reached_but_never_the_machine_itself() {
        let own = ["10.0.0.1", "8.8.8.8", "::ffff:9.9.9.9"];
        let own = own.map(|own| own.parse().unwrap());
        let peers = PeerFilter::new(own, &["10.0.0.0/24".parse().unwrap()]);
        assert!(is_allowed(&peers, "10.0.0.2"));
        assert!(!is_allowed(&peers, "10.0.1.2"));
        for own in ["10.0.0.1", "8.8.8.8", "9.9.9.9", "::ffff:8.8.8.8"] {
            assert!(!is_allowed(&peers, own), "{own}");
            assert!(peers.is_own(own.parse().unwrap()));
        }
    }
}
