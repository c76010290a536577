//! Targets of [`crate::fuzzing`]. Nothing leaves this machine: relays are on loopback, and no public peer is permitted.

use super::{
    client::{ClientTransport, TurnClient, UNALLOCATED_TIMEOUT},
    config::TurnConfig,
    credentials::{Credential, RelayUser, TurnSecret},
    hub::Hub,
    is_public,
    message::{self, FRAME_HEADER_BYTES, StunRequest},
    tcp::read_messages,
    udp::UdpServer,
};
use crate::{
    model::{Millis, UserId},
    server::{
        metrics::Metrics,
        rate_limit::{Overrides, RateLimits},
    },
};
use clap::Parser;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    runtime::{Builder, Runtime},
    sync::mpsc,
};
use tokio_util::io::StreamReader;
use turn_server_proto::types::{
    AddressFamily,
    attribute::{
        ChannelNumber, Data, Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
        XorRelayedAddress,
    },
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND},
    stun::{
        attribute::{AttributeType, Nonce, RawAttribute, Realm, Username},
        message::{
            BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass,
            MessageType, MessageWriteVec, Method, TransactionId,
        },
        prelude::{MessageWrite, MessageWriteExt},
    },
};
use uuid::Uuid;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// In the year 2286.
const FAR_FUTURE: Millis = 9_999_999_999_000;
const MAX_REPLIES: usize = 1_024;
const REALM: &str = "rialto";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    turn: TurnConfig,
}

fn hub() -> Arc<Hub> {
    static SETTINGS: LazyLock<TurnConfig> =
        LazyLock::new(|| Arguments::parse_from(["rialto"]).turn);
    static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::new("fuzzing")));
    let limits = RateLimits::new(Overrides::default(), METRICS.clone());
    let own = vec![LOCALHOST];
    Hub::new(
        &SETTINGS,
        TurnSecret::new("a secret"),
        own.clone(),
        own,
        limits,
        METRICS.clone(),
    )
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.expect("a runtime")
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(LOCALHOST, port)
}

/// What a stranger sends over TCP or TLS: the answers are messages, at most one for each, and do not depend on how the network splits
/// the stream.
///
/// # Panics
/// If they do.
pub fn turn_stream(data: &[u8]) {
    let runtime = runtime();
    let piece = data.first().map_or(1, |byte| 1 + usize::from(byte & 15));
    let whole = runtime.block_on(answers(data, data.len().max(1)));
    let pieces = runtime.block_on(answers(data, piece));
    assert_eq!(pieces, whole);
}

/// Whether the stream ended by itself, and the lengths of the answers.
async fn answers(data: &[u8], piece: usize) -> (bool, Vec<usize>) {
    let (queue, mut waiting) = mpsc::channel(MAX_REPLIES);
    let client = TurnClient::new(
        hub(),
        ClientTransport::Stream(queue),
        local(1),
        local(3_478),
    );
    let pieces = data.chunks(piece).map(Ok::<_, std::io::Error>);
    let mut stream = StreamReader::new(futures::stream::iter(pieces));
    let ended = read_messages(&mut stream, &client).await.is_ok();
    client.close();
    let mut lengths = Vec::new();
    while let Ok(answer) = waiting.try_recv() {
        check_answer(&answer);
        lengths.push(answer.len());
    }
    assert!(lengths.len() <= data.len() / FRAME_HEADER_BYTES);
    (ended, lengths)
}

/// One whole message of a stream.
fn check_answer(answer: &[u8]) {
    let head = answer.first_chunk().expect("an answer has a header");
    assert_eq!(message::frame_length(*head), Some(answer.len()));
    if message::is_message(answer) {
        assert!(Message::from_bytes(answer).is_ok(), "{answer:?}");
    }
}

pub(crate) fn stream_examples() -> Vec<Vec<u8>> {
    let requests = requests();
    let all = requests.concat();
    let mut examples = requests;
    examples.push(all);
    examples
}

/// Datagrams of strangers, each after its length and sender in two bytes: clients without an allocation are soon forgotten.
///
/// # Panics
/// If one is not.
pub fn turn_datagrams(data: &[u8]) {
    runtime().block_on(async {
        let socket = UdpSocket::bind(local(0)).await.expect("a socket");
        let server = UdpServer::new(hub(), socket).expect("a server");
        let mut script = Script(data);
        while let Some(head) = script.byte() {
            let datagram = script.piece();
            // Ports at which nobody listens.
            server.on_datagram(datagram, local(1 + u16::from(head & 3)));
            assert!(server.client_count() <= 4);
        }
        tokio::time::advance(UNALLOCATED_TIMEOUT + Duration::from_secs(1)).await;
        server.sweep();
        assert_eq!(server.client_count(), 0);
    });
}

pub(crate) fn datagram_examples() -> Vec<Vec<u8>> {
    let datagram = |head: u8, bytes: &[u8]| [&[head], piece(bytes).as_slice()].concat();
    let requests = requests();
    let all = requests
        .iter()
        .zip(0..)
        .map(|(request, head)| datagram(head, request));
    let mut examples: Vec<Vec<u8>> = all.collect();
    examples.push(examples.concat());
    examples
}

/// Steps of a client that has a credential: each is a byte that says which, and its arguments. It holds few relays, and none in the end.
///
/// # Panics
/// If it holds one.
pub fn turn_session(data: &[u8]) {
    let _ = run_session(data);
}

/// Returns the class and method of each answer.
fn run_session(data: &[u8]) -> Vec<(MessageClass, Method)> {
    runtime().block_on(async {
        let hub = hub();
        let mut session = Session::new(hub.clone());
        session.send(ALLOCATE, MessageClass::Request, &[], false);
        session.read_answers();
        let mut script = Script(data);
        while let Some(step) = script.byte() {
            session.step(step, &mut script).await;
            session.read_answers();
            assert!(hub.allocation_count() <= 2);
        }
        session.client.close();
        assert_eq!(hub.allocation_count(), 0);
        session.answered
    })
}

const STEP_REQUEST: u8 = 0;
const STEP_RAW: u8 = 1;
const STEP_CHANNEL: u8 = 2;
const STEP_PEER: u8 = 3;
const STEP_TIME: u8 = 4;

struct Session {
    client: Arc<TurnClient>,
    answers: mpsc::Receiver<Vec<u8>>,
    credential: Credential,
    nonce: String,
    relay: SocketAddr,
    answered: Vec<(MessageClass, Method)>,
}

impl Session {
    fn new(hub: Arc<Hub>) -> Self {
        let user = RelayUser::testing(UserId(Uuid::from_u128(1)));
        let credential = hub.secret.issue(user, FAR_FUTURE);
        let (queue, answers) = mpsc::channel(MAX_REPLIES);
        let transport = ClientTransport::Stream(queue);
        Self {
            client: TurnClient::new(hub, transport, local(1), local(3_478)),
            answers,
            credential,
            nonce: String::new(),
            relay: local(2),
            answered: Vec::new(),
        }
    }

    async fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 5 {
            STEP_REQUEST => {
                let methods = [
                    ALLOCATE,
                    REFRESH,
                    CREATE_PERMISSION,
                    CHANNEL_BIND,
                    SEND,
                    BINDING,
                ];
                let choice = script.byte().unwrap_or_default();
                let method = methods[usize::from(choice >> 1) % methods.len()];
                let is_indication = method == SEND;
                let class = if is_indication {
                    MessageClass::Indication
                } else {
                    MessageClass::Request
                };
                let attributes = script.piece();
                self.send(method, class, attributes, choice & 1 == 0 && !is_indication);
            }
            STEP_RAW => self.client.on_client_data(script.piece()),
            STEP_CHANNEL => {
                let channel = 0x4000_u16 + u16::from(script.byte().unwrap_or_default());
                let bytes = script.piece();
                let length = u16::try_from(bytes.len()).unwrap_or_default();
                let data = [&channel.to_be_bytes()[..], &length.to_be_bytes(), bytes].concat();
                self.client.on_client_data(&data);
            }
            STEP_PEER => {
                let peer = local(u16::from(script.byte().unwrap_or_default()));
                self.client.on_peer_data(self.relay, peer, script.piece());
            }
            STEP_TIME.. => {
                let seconds = 10 * u64::from(script.byte().unwrap_or_default());
                tokio::time::advance(Duration::from_secs(seconds)).await;
                self.client.expire();
            }
        }
    }

    fn send(&mut self, method: Method, class: MessageClass, attributes: &[u8], is_signed: bool) {
        let id = TransactionId::from(1);
        let kind = MessageType::from_class_method(class, method);
        let mut request = Message::builder(kind, id, MessageWriteVec::new());
        let mut script = Script(attributes);
        while let Some(kind) = script.byte() {
            self.add_attribute(&mut request, kind, &mut script);
        }
        if is_signed {
            self.sign(&mut request);
        }
        let request = request.finish();
        let names_public_peer = matches!(
            message::parse_request(&request),
            Some(StunRequest::PermitPeers { peers, .. }) if peers.iter().any(|peer| is_public(peer.ip()))
        );
        if !names_public_peer {
            self.client.on_client_data(&request);
        }
    }

    /// What does not fit is left out.
    fn add_attribute(&self, request: &mut MessageWriteVec, kind: u8, script: &mut Script<'_>) {
        let id = TransactionId::from(1);
        let number = script.byte().unwrap_or_default();
        let small = u16::from(number);
        let _ = match kind % 8 {
            0 => request.add_attribute(&RequestedTransport::new(RequestedTransport::UDP)),
            1 => request.add_attribute(&XorPeerAddress::new(local(small), id)),
            2 => request.add_attribute(&XorPeerAddress::new(self.relay, id)),
            3 => request.add_attribute(&ChannelNumber::new(0x4000 + small)),
            4 => request.add_attribute(&Lifetime::new(u32::from(number) << (number & 31))),
            5 => request.add_attribute(&Data::new(script.piece())),
            6 => {
                let is_v6 = number & 1 == 1;
                let family = if is_v6 {
                    AddressFamily::IPV6
                } else {
                    AddressFamily::IPV4
                };
                request.add_attribute(&RequestedAddressFamily::new(family))
            }
            7.. => {
                let value = script.piece();
                // Even ones of the comprehension-optional range, and those of TURN.
                let kind = if number & 1 == 0 {
                    small
                } else {
                    0x8000 | small
                };
                let raw = RawAttribute::new(AttributeType::new(kind), value);
                // MESSAGE-INTEGRITY (8) and the like are added by signing.
                if [0x8, 0x1c, 0x8028].contains(&kind) {
                    return;
                }
                request.add_attribute(&raw)
            }
        };
    }

    fn sign(&self, request: &mut MessageWriteVec) {
        let Credential { username, password } = &self.credential;
        let key = LongTermKeyCredentials::new(username.clone(), password.clone(), REALM.to_owned());
        let realm = Realm::new(REALM).expect("a realm");
        let name = Username::new(username).expect("a name");
        // A nonce that the client was never told is refused as stale.
        let nonce = Nonce::new(&self.nonce).expect("the server's nonce");
        let signed = request
            .add_attribute(&name)
            .and_then(|()| request.add_attribute(&realm))
            .and_then(|()| request.add_attribute(&nonce));
        if signed.is_ok() {
            let _ = request.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1);
        }
    }

    fn read_answers(&mut self) {
        while let Ok(answer) = self.answers.try_recv() {
            check_answer(&answer);
            let Ok(answer) = Message::from_bytes(&answer) else {
                continue;
            };
            self.answered.push((answer.class(), answer.method()));
            if let Ok(nonce) = answer.attribute::<Nonce>() {
                nonce.nonce().clone_into(&mut self.nonce);
            }
            if let Ok(relay) = answer.attribute::<XorRelayedAddress>() {
                self.relay = relay.addr(answer.transaction_id());
            }
        }
    }
}

/// An allocation, a permission and a channel for the relay itself, data both ways, an hour, and the end.
pub(crate) fn session_examples() -> Vec<Vec<u8>> {
    let request = |choice: u8, attributes: &[u8]| {
        [&[STEP_REQUEST, choice << 1], piece(attributes).as_slice()].concat()
    };
    let allocate = request(0, &[0, 0]);
    let refresh = request(1, &[4, 200]);
    let release = request(1, &[4, 0]);
    let permit = request(2, &[2, 0, 1, 9]);
    let bind = request(3, &[3, 7, 2, 0]);
    let indication = request(4, &[&[2, 0, 5, 0], piece(b"rialto").as_slice()].concat());
    let channel = [&[STEP_CHANNEL, 7], piece(b"rialto").as_slice()].concat();
    let peer = [&[STEP_PEER, 9], piece(b"rialto").as_slice()].concat();
    let later = vec![STEP_TIME, 61];
    let raw = [&[STEP_RAW], piece(&binding_request()).as_slice()].concat();
    let unknown = request(
        0,
        &[&[7, 0x1a][..], &piece(b"abcd"), &[6, 1, 0, 0]].concat(),
    );
    vec![
        [
            &allocate[..],
            &permit,
            &indication,
            &bind,
            &channel,
            &peer,
            &refresh,
            &release,
        ]
        .concat(),
        [
            &allocate[..],
            &bind,
            &later,
            &channel,
            &later,
            &bind,
            &later,
            &refresh,
        ]
        .concat(),
        [&allocate[..], &release, &allocate, &raw, &permit, &release].concat(),
        [
            &unknown[..],
            &allocate,
            &bind,
            &bind,
            &permit,
            &permit,
            &indication,
        ]
        .concat(),
    ]
}

fn binding_request() -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
    Message::builder(kind, 1.into(), MessageWriteVec::new()).finish()
}

/// Of somebody without a valid credential.
fn requests() -> Vec<Vec<u8>> {
    let build = |class, method, add: &dyn Fn(&mut MessageWriteVec)| {
        let kind = MessageType::from_class_method(class, method);
        let mut message = Message::builder(kind, 1.into(), MessageWriteVec::new());
        add(&mut message);
        message.finish()
    };
    let request = MessageClass::Request;
    let key = LongTermKeyCredentials::new("1:a/b".into(), "b".into(), REALM.into());
    vec![
        binding_request(),
        build(request, ALLOCATE, &|message| {
            message
                .add_attribute(&RequestedTransport::new(RequestedTransport::UDP))
                .expect("it fits");
        }),
        build(request, ALLOCATE, &|message| {
            message
                .add_attribute(&Username::new("9999999999:a/test").expect("a name"))
                .expect("it fits");
            message
                .add_message_integrity(&key.clone().into(), IntegrityAlgorithm::Sha1)
                .expect("it fits");
        }),
        build(request, CREATE_PERMISSION, &|message| {
            message
                .add_attribute(&XorPeerAddress::new(local(9), 1.into()))
                .expect("it fits");
        }),
        build(MessageClass::Indication, SEND, &|message| {
            message
                .add_attribute(&XorPeerAddress::new(local(9), 1.into()))
                .expect("it fits");
            message
                .add_attribute(&Data::new(b"rialto"))
                .expect("it fits");
        }),
        b"\x40\x07\0\x06rialto\0\0".to_vec(),
    ]
}

/// Bytes that are read as numbers and pieces, however many there are.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// As [`piece`] writes it, or what is left.
    fn piece(&mut self) -> &'a [u8] {
        let length = u16::from_be_bytes([
            self.byte().unwrap_or_default(),
            self.byte().unwrap_or_default(),
        ]);
        let length = usize::from(length).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }
}

fn piece(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("it is short");
    [&length.to_be_bytes(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use turn_server_proto::types::message::DATA;

    #[test]
    fn the_first_example_relays_data() {
        let answered = run_session(&session_examples()[0]);
        let success = |method| (MessageClass::Success, method);
        let data = (MessageClass::Indication, DATA);
        for expected in [
            success(ALLOCATE),
            success(CREATE_PERMISSION),
            success(CHANNEL_BIND),
            success(REFRESH),
            data,
        ] {
            assert!(answered.contains(&expected), "{expected:?} in {answered:?}");
        }
    }

    #[test]
    fn a_stranger_is_answered_and_gets_no_relay() {
        let runtime = runtime();
        let answered = |stream: &[u8]| runtime.block_on(answers(stream, stream.len())).1.len();
        let examples = stream_examples();
        let counts: Vec<_> = examples.iter().map(|stream| answered(stream)).collect();
        assert_eq!(counts, [1, 1, 1, 1, 0, 0, 4]);
    }
}
