//! How many peers a client may have permissions and channels for.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// A call in a room has a few for each participant.
const MAX_PERMISSIONS: usize = 64;
const MAX_CHANNELS: usize = 64;
/// RFC 8656 section 9.
const PERMISSION_LIFETIME: Duration = Duration::from_mins(5);
/// RFC 8656 section 12.
const CHANNEL_LIFETIME: Duration = Duration::from_mins(10);

/// What a client has asked for, with the time at which it expires.
#[derive(Debug, Default)]
pub(super) struct PermittedPeers {
    permissions: HashMap<IpAddr, Duration>,
    channels: HashMap<SocketAddr, Duration>,
}

impl PermittedPeers {
    /// False, without a change, if these are too many. A channel includes a permission.
    pub(super) fn add(&mut self, peers: &[SocketAddr], binds_channel: bool, now: Duration) -> bool {
        self.permissions.retain(|_, expires_at| *expires_at > now);
        self.channels.retain(|_, expires_at| *expires_at > now);
        let addresses: Vec<_> = peers.iter().map(SocketAddr::ip).collect();
        let channels = if binds_channel { peers } else { &[] };
        if !fits(&self.permissions, &addresses, MAX_PERMISSIONS)
            || !fits(&self.channels, channels, MAX_CHANNELS)
        {
            return false;
        }
        let (permitted_until, bound_until) = (now + PERMISSION_LIFETIME, now + CHANNEL_LIFETIME);
        self.permissions
            .extend(addresses.into_iter().map(|peer| (peer, permitted_until)));
        self.channels
            .extend(channels.iter().map(|peer| (*peer, bound_until)));
        true
    }
}

fn fits<K: Copy + Eq + Hash>(known: &HashMap<K, Duration>, new: &[K], most: usize) -> bool {
    let added = new.iter().filter(|key| !known.contains_key(key)).count();
    known.len() + added <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn peer(address: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, address], port))
    }

    #[test]
    fn a_client_has_a_bounded_number_of_permissions_and_may_renew_each() {
        let mut peers = PermittedPeers::default();
        for address in 0..64 {
            assert!(peers.add(&[peer(address, 1)], false, NOW));
        }
        assert!(!peers.add(&[peer(64, 1)], false, NOW));
        assert!(!peers.add(&[peer(0, 1), peer(64, 1)], false, NOW));
        let renewed = NOW + Duration::from_mins(4);
        assert!(peers.add(&[peer(0, 2)], false, renewed));
        let later = NOW + Duration::from_mins(5);
        for address in 64..127 {
            assert!(peers.add(&[peer(address, 1)], false, later));
        }
        assert!(!peers.add(&[peer(127, 1)], false, later), "0 was renewed");
    }

    #[test]
    fn a_client_has_a_bounded_number_of_channels() {
        let mut peers = PermittedPeers::default();
        for port in 0..64 {
            assert!(peers.add(&[peer(1, port)], true, NOW));
        }
        assert!(!peers.add(&[peer(1, 64)], true, NOW));
        assert!(peers.add(&[peer(1, 0)], true, NOW));
        assert!(peers.add(&[peer(1, 64)], false, NOW), "needs no channel");
        let later = NOW + Duration::from_mins(10);
        assert!(peers.add(&[peer(1, 64)], true, later));
    }
}
