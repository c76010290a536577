//! Subscribers in a process of their own, because a process may open only so many files.
//!
//! `bench-crowd` reads a [`CrowdRequest`] from its standard input, connects, and then answers each further line with a
//! [`CrowdReport`]. It ends with its standard input. Both sides write one JSON value a line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Who connects, and where to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CrowdRequest {
    /// The server.
    pub address: SocketAddr,
    /// The first subscribers' address; the others follow it, [`SUBSCRIBERS_PER_ADDRESS`] each.
    pub first_source: Ipv4Addr,
    /// Readers of the news over SSE.
    pub readers: usize,
    /// `Cookie` headers, one for each WebSocket.
    pub cookies: Vec<String>,
}

/// What subscribers have seen since the last report.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CrowdReport {
    /// Subscribers whose connection is open.
    pub open: usize,
    /// Messages delivered for the first time.
    pub delivered: u64,
    /// The longest time from the due time of a message to its delivery, in milliseconds.
    pub slowest_ms: f64,
}

/// What one address may open without a changed bound (`streams` in docs/operating.md), rounded down.
pub const SUBSCRIBERS_PER_ADDRESS: usize = 4_000;

impl CrowdRequest {
    /// The addresses that subscribers connect from, in turn.
    pub fn sources(&self) -> Vec<IpAddr> {
        let count = (self.readers + self.cookies.len()).div_ceil(SUBSCRIBERS_PER_ADDRESS);
        let first = u32::from(self.first_source);
        (first..)
            .take(count)
            .map(|address| Ipv4Addr::from(address).into())
            .collect()
    }
}

impl CrowdReport {
    /// Both crowds as one.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            open: self.open + other.open,
            delivered: self.delivered + other.delivered,
            slowest_ms: self.slowest_ms.max(other.slowest_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_has_more_subscribers_than_a_server_allows_it() {
        let request = |readers| CrowdRequest {
            address: SocketAddr::from(([127, 0, 0, 1], 80)),
            first_source: Ipv4Addr::new(127, 1, 0, 255),
            readers,
            cookies: vec![String::new(); 2],
        };
        assert_eq!(request(3_998).sources().len(), 1);
        let two = request(3_999).sources();
        assert_eq!(two, [[127, 1, 0, 255], [127, 1, 1, 0]].map(IpAddr::from));
    }
}
