//! The TURN protocol of one client, without sockets. An instance per client cannot confuse clients and needs no lookup.

use std::{fmt, net::SocketAddr, time::Duration};
use turn_server_proto::{
    api::{
        DelayedMessageOrChannelSend, SocketAllocateError, Transmit, TurnServerApi,
        TurnServerPollRet,
    },
    server::TurnServer,
    types::{AddressFamily, TransportType, prelude::DelayedTransmitBuild},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpFamily {
    V4,
    V6,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AllocateError {
    UnsupportedFamily,
    /// A limit is reached, no port is free, or the client is unauthenticated.
    InsufficientCapacity,
}

#[derive(Debug)]
pub(super) enum Outcome<'a> {
    Nothing,
    SendToClient(Vec<u8>),
    SendToPeer {
        from: SocketAddr,
        to: SocketAddr,
        bytes: &'a [u8],
    },
}

#[derive(Debug)]
pub(super) enum ProtocolAction {
    /// Reported back with [`TurnProtocol::on_allocation_opened`].
    OpenAllocation(IpFamily),
    CloseAllocation(SocketAddr),
    SendToClient(Vec<u8>),
}

/// TURN for one client (RFC 8656), without I/O. `now` is the time since the server started.
pub(super) trait TurnProtocol: fmt::Debug + Send {
    fn add_user(&mut self, username: &str, password: &str);

    /// Processes one STUN or `ChannelData` message.
    fn on_client_data<'a>(&mut self, bytes: &'a [u8], now: Duration) -> Outcome<'a>;

    /// Writes into `output`. False if the client has no permission for the peer.
    fn on_peer_data(
        &mut self,
        relay: SocketAddr,
        peer: SocketAddr,
        bytes: &[u8],
        output: &mut Vec<u8>,
        now: Duration,
    ) -> bool;

    /// To be polled until none is left, after each message and periodically.
    fn poll_action(&mut self, now: Duration) -> Option<ProtocolAction>;

    /// `relay` is the address as peers see it.
    fn on_allocation_opened(
        &mut self,
        family: IpFamily,
        relay: Result<SocketAddr, AllocateError>,
        now: Duration,
    );
}

/// Messages are passed as UDP; [`super::tcp`] splits streams.
#[derive(Debug)]
pub(super) struct TurnServerProto {
    server: TurnServer,
    listener: SocketAddr,
    client: SocketAddr,
}

impl TurnServerProto {
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
            // Messages first: they were produced before sockets are closed or opened.
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
                // TCP allocations (RFC 6062) need a TCP client.
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
