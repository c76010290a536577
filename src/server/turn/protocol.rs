//! The TURN protocol of one client, without sockets: the interface that [`super::client`] needs, and its
//! implementation.
//!
//! An instance per client: no packet needs a lookup, clients cannot be confused, and all state goes with the client.

use std::{fmt, net::SocketAddr, time::Duration};
use turn_server_proto::{
    api::{
        DelayedMessageOrChannelSend, SocketAllocateError, Transmit, TurnServerApi,
        TurnServerPollRet,
    },
    server::TurnServer,
    types::{AddressFamily, TransportType, prelude::DelayedTransmitBuild},
};

/// Address family of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpFamily {
    V4,
    V6,
}

/// Why an allocation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AllocateError {
    /// The relay has no address of that family.
    UnsupportedFamily,
    /// A limit is reached, no port is free, or the client is unauthenticated.
    InsufficientCapacity,
}

/// The result of processing bytes of a client.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    Nothing,
    /// A response to send to the client.
    SendToClient(Vec<u8>),
    /// Data to send from a relayed address to a peer.
    SendToPeer {
        from: SocketAddr,
        to: SocketAddr,
        bytes: &'a [u8],
    },
}

/// An action that the protocol requests from its caller.
#[derive(Debug)]
pub(super) enum ProtocolAction {
    /// Open an allocation, and report it with [`TurnProtocol::on_allocation_opened`].
    OpenAllocation(IpFamily),
    /// Close the allocation with this relayed address.
    CloseAllocation(SocketAddr),
    /// Send this message to the client.
    SendToClient(Vec<u8>),
}

/// TURN for one client (RFC 8656), without I/O. Callers pass in what was received and the time since the server
/// started.
pub(super) trait TurnProtocol: fmt::Debug + Send {
    /// Accepts this user name and password from now on.
    fn add_user(&mut self, username: &str, password: &str);

    /// Processes one STUN message or `ChannelData` message from the client.
    fn on_client_data<'a>(&mut self, bytes: &'a [u8], now: Duration) -> Outcome<'a>;

    /// Writes the message for the client into `output`. False if the client has no permission for the peer.
    fn on_peer_data(
        &mut self,
        relay: SocketAddr,
        peer: SocketAddr,
        bytes: &[u8],
        output: &mut Vec<u8>,
        now: Duration,
    ) -> bool;

    /// The next action. To be polled until none is left, after each message and periodically.
    fn poll_action(&mut self, now: Duration) -> Option<ProtocolAction>;

    /// Result of [`ProtocolAction::OpenAllocation`]: the relayed address as peers see it.
    fn on_allocation_opened(
        &mut self,
        family: IpFamily,
        relay: Result<SocketAddr, AllocateError>,
        now: Duration,
    );
}

/// By the crate `turn-server-proto`. All messages are passed to it as UDP; [`super::tcp`] splits streams.
#[derive(Debug)]
pub(super) struct TurnServerProto {
    server: TurnServer,
    listener: SocketAddr,
    client: SocketAddr,
}

impl TurnServerProto {
    /// For the client at `client` of the listener at `listener`.
    pub(super) fn new(client: SocketAddr, listener: SocketAddr, realm: &str) -> Self {
        let server = TurnServer::new(TransportType::Udp, listener, realm.to_owned());
        Self {
            server,
            listener,
            client,
        }
    }
}

type ProtoInstant = turn_server_proto::types::Instant;

fn to_instant(now: Duration) -> ProtoInstant {
    ProtoInstant::from_nanos(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}

impl TurnProtocol for TurnServerProto {
    fn add_user(&mut self, username: &str, password: &str) {
        self.server
            .add_user(username.to_owned(), password.to_owned());
    }

    fn on_client_data<'a>(&mut self, bytes: &'a [u8], now: Duration) -> Outcome<'a> {
        let received = Transmit::new(bytes, TransportType::Udp, self.client, self.listener);
        let Some(sent) = self.server.recv(received, to_instant(now)) else {
            return Outcome::Nothing;
        };
        match sent.data {
            DelayedMessageOrChannelSend::Range(bytes, range) if sent.to != self.client => {
                Outcome::SendToPeer {
                    from: sent.from,
                    to: sent.to,
                    bytes: &bytes[range],
                }
            }
            answer => Outcome::SendToClient(answer.build()),
        }
    }

    fn on_peer_data(
        &mut self,
        relay: SocketAddr,
        peer: SocketAddr,
        bytes: &[u8],
        told: &mut Vec<u8>,
        now: Duration,
    ) -> bool {
        let received = Transmit::new(bytes, TransportType::Udp, peer, relay);
        let Some(sent) = self.server.recv(received, to_instant(now)) else {
            return false;
        };
        // `write_into` of 0.7.3 encodes a Data indication as a Send indication, which browsers ignore.
        *told = sent.data.build();
        true
    }

    fn poll_action(&mut self, now: Duration) -> Option<ProtocolAction> {
        loop {
            // Messages come before sockets are closed or opened, because they were produced earlier.
            if let Some(transmit) = self.server.poll_transmit(to_instant(now)) {
                return Some(ProtocolAction::SendToClient(transmit.data));
            }
            match self.server.poll(to_instant(now)) {
                TurnServerPollRet::AllocateSocket { family, .. } => {
                    return Some(ProtocolAction::OpenAllocation(match family {
                        AddressFamily::IPV4 => IpFamily::V4,
                        AddressFamily::IPV6 => IpFamily::V6,
                    }));
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    return Some(ProtocolAction::CloseAllocation(listen_addr));
                }
                TurnServerPollRet::WaitUntil(_) => return None,
                // TCP allocations (RFC 6062) need a TCP client; this instance sees UDP only.
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
            }
        }
    }

    fn on_allocation_opened(
        &mut self,
        family: IpFamily,
        relay: Result<SocketAddr, AllocateError>,
        now: Duration,
    ) {
        let family = match family {
            IpFamily::V4 => AddressFamily::IPV4,
            IpFamily::V6 => AddressFamily::IPV6,
        };
        let relay = relay.map_err(|why| match why {
            AllocateError::UnsupportedFamily => SocketAllocateError::AddressFamilyNotSupported,
            AllocateError::InsufficientCapacity => SocketAllocateError::InsufficientCapacity,
        });
        self.server.allocated_socket(
            TransportType::Udp,
            self.listener,
            self.client,
            TransportType::Udp,
            family,
            relay,
            to_instant(now),
        );
    }
}
