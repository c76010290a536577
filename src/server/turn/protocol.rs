//! The protocol of one client, without a socket: what [`super::client`] needs of an implementation of TURN, and the one that is used.
//!
//! Each client has an implementation of its own, which knows no other. So nothing has to be searched for whom a packet is, one client
//! cannot be taken for another, and all that is kept for one is gone with it.

use std::{fmt, net::SocketAddr, time::Duration};
use turn_server_proto::{
    api::{
        DelayedMessageOrChannelSend, SocketAllocateError, Transmit, TurnServerApi,
        TurnServerPollRet,
    },
    server::TurnServer,
    types::{AddressFamily, TransportType, prelude::DelayedTransmitBuild},
};

/// Which addresses a relay has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpFamily {
    V4,
    V6,
}

/// Why there is no relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AllocateError {
    /// There are none with such addresses here.
    UnsupportedFamily,
    /// There are as many as there may be.
    InsufficientCapacity,
}

/// What the bytes of a client come to.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    Nothing,
    /// An answer.
    SendToClient(Vec<u8>),
    /// To be sent from a relay to a peer.
    SendToPeer {
        from: SocketAddr,
        to: SocketAddr,
        bytes: &'a [u8],
    },
}

/// What is left to do.
#[derive(Debug)]
pub(super) enum ProtocolAction {
    /// To open a relay, and say so with [`Protocol::opened`].
    OpenAllocation(IpFamily),
    /// To close a relay.
    CloseAllocation(SocketAddr),
    /// To tell the client.
    SendToClient(Vec<u8>),
}

/// An implementation of TURN for one client (RFC 8656), that is told what was received and says what to send. Times are
/// given to it, since the server was started.
pub(super) trait TurnProtocol: fmt::Debug + Send {
    /// From now on, this name and password are good.
    fn add_user(&mut self, username: &str, password: &str);

    /// The client sent this: one message, or one piece of channel data.
    fn on_client_data<'a>(&mut self, bytes: &'a [u8], now: Duration) -> Outcome<'a>;

    /// A peer sent this to a relay: what to tell the client is written into `told`. False when the client did not ask to hear it.
    fn on_peer_data(
        &mut self,
        relay: SocketAddr,
        peer: SocketAddr,
        bytes: &[u8],
        output: &mut Vec<u8>,
        now: Duration,
    ) -> bool;

    /// What is to be done next; to be asked until there is nothing, after the client was heard and now and then.
    fn poll_action(&mut self, now: Duration) -> Option<ProtocolAction>;

    /// What came of [`Step::Open`]: the address of the relay, as others see it.
    fn on_allocation_opened(
        &mut self,
        family: IpFamily,
        relay: Result<SocketAddr, AllocateError>,
        now: Duration,
    );
}

/// The one of the crate `turn-server-proto`. It is told that everything comes by UDP: [`super::tcp`] cuts the stream into messages.
#[derive(Debug)]
pub(super) struct TurnServerProto {
    server: TurnServer,
    listener: SocketAddr,
    client: SocketAddr,
}

impl TurnServerProto {
    /// For a client that was seen from this address, by the listener at that one.
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
        // Not `write_into`, which in 0.7.3 calls a Data indication a Send indication, so that browsers leave it unread.
        *told = sent.data.build();
        true
    }

    fn poll_action(&mut self, now: Duration) -> Option<ProtocolAction> {
        loop {
            // Said before anything is closed or opened, because it was earlier.
            if let Some(said) = self.server.poll_transmit(to_instant(now)) {
                return Some(ProtocolAction::SendToClient(said.data));
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
                // Relays by TCP (RFC 6062) are asked for over TCP only, and this was told that there is none.
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
