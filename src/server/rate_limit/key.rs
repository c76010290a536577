//! Whom a bound counts.

use crate::{
    model::{RoomId, UserId, user::UserName},
    server::random,
};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What a bound counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The client's IPv4 address or IPv6 /64 network, and with 8 times as much its IPv6 /48 network.
    Address,
    /// A sign-in.
    Session,
    Person,
    /// One person towards another.
    Pair,
    /// A person in a room.
    PersonInRoom,
    /// The name that somebody tries to sign in with, at an address or in a browser that the account knows.
    AccountAt,
    /// The name that somebody tries to sign in with.
    Account,
    /// An address and port.
    Socket,
    /// Everybody together.
    Total,
}

impl KeyKind {
    /// Its word in `docs/operating.md`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Session => "session",
            Self::Person => "person",
            Self::Pair => "pair of people",
            Self::PersonInRoom => "person and room",
            Self::AccountAt => "account and address, or browser known to the account",
            Self::Account => "account",
            Self::Socket => "address and port",
            Self::Total => "all together",
        }
    }
}

/// One of whom a bound counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// See [`Key::address`].
    Address(IpAddr),
    /// An IPv6 /48 network.
    Site(Ipv6Addr),
    Session(u128),
    Person(UserId),
    Pair(UserId, UserId),
    PersonInRoom(UserId, RoomId),
    AccountAt(u128),
    Account(u128),
    Socket(SocketAddr),
    Total,
}

impl Key {
    /// The key of a client's address: for IPv6 its /64 network, the smallest that a household gets (RFC 6177).
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(four) => four.into(),
            IpAddr::V6(six) => network(six, 64).into(),
        })
    }

    /// The key of a session, by the hash of its token.
    #[must_use]
    pub fn session(token_hash: &str) -> Self {
        Self::Session(digest(token_hash))
    }

    /// The key of an account, whether it exists or not. Upper and lower case are the same.
    #[must_use]
    pub fn account(name: &UserName) -> Self {
        Self::Account(digest(&name.as_str().to_lowercase()))
    }

    /// The key of an account at an address.
    #[must_use]
    pub fn account_at(name: &UserName, address: IpAddr) -> Self {
        let address = Self::address(address);
        Self::AccountAt(digest(&format!(
            "{address:?} {}",
            name.as_str().to_lowercase()
        )))
    }

    /// The key of a browser that its account knows.
    #[must_use]
    pub fn device(device: &str) -> Self {
        Self::AccountAt(digest(device))
    }

    /// The larger network that shares the bound.
    pub(super) fn site(&self) -> Option<Self> {
        match self {
            Self::Address(IpAddr::V6(six)) => Some(Self::Site(network(*six, 48))),
            _ => None,
        }
    }

    /// What it is a key of.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Address(_) | Self::Site(_) => KeyKind::Address,
            Self::Session(_) => KeyKind::Session,
            Self::Person(_) => KeyKind::Person,
            Self::Pair(..) => KeyKind::Pair,
            Self::PersonInRoom(..) => KeyKind::PersonInRoom,
            Self::AccountAt(_) => KeyKind::AccountAt,
            Self::Account(_) => KeyKind::Account,
            Self::Socket(_) => KeyKind::Socket,
            Self::Total => KeyKind::Total,
        }
    }
}

fn network(address: Ipv6Addr, prefix: u32) -> Ipv6Addr {
    let host_bits = 128 - prefix;
    Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits)
}

/// Short, so that an attacker's long names take no memory.
fn digest(text: &str) -> u128 {
    let hash = random::sha256(text);
    let (first, _) = hash.split_first_chunk().expect("SHA-256 has 32 bytes");
    u128::from_be_bytes(*first)
}
