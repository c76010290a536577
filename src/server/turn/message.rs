//! STUN messages handled before the protocol (RFC 8489, RFC 8656).

use std::net::SocketAddr;
use turn_server_proto::types::{
    attribute::{AdditionalAddressFamily, RequestedAddressFamily, XorPeerAddress},
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION},
    stun::{
        attribute::{ErrorCode, Username, XorMappedAddress},
        message::{
            BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass,
            MessageIntegrityCredentials, MessageWriteVec,
        },
        prelude::{
            Attribute, AttributeFromRaw, AttributeStaticType, MessageWrite, MessageWriteExt,
        },
    },
};

/// Common prefix of STUN and `ChannelData` messages.
pub(super) const FRAME_HEADER_BYTES: usize = 4;
/// RFC 8489 section 5.
const STUN_HEADER_BYTES: usize = 20;
pub(super) const FORBIDDEN: u16 = ErrorCode::FORBIDDEN;
pub(super) const ALLOCATION_QUOTA_REACHED: u16 = ErrorCode::ALLOCATION_QUOTA_REACHED;
pub(super) const INSUFFICIENT_CAPACITY: u16 = ErrorCode::INSUFFICIENT_CAPACITY;
/// A browser's requests have 100 to 300 bytes.
const MAX_REQUEST_BYTES: usize = 1_500;
/// Browsers name one.
pub(super) const MAX_REQUEST_PEERS: usize = 16;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum StunRequest {
    Binding,
    /// The first has no user name and is answered with realm and nonce.
    Allocate {
        username: Option<String>,
        /// Browsers name none.
        names_family: bool,
    },
    /// `CreatePermission` or `ChannelBind`, with at most one peer more than [`MAX_REQUEST_PEERS`].
    PermitPeers {
        peers: Vec<SocketAddr>,
        binds_channel: bool,
    },
    Other,
}

/// Whether this is STUN, not `ChannelData` (RFC 8656 section 12).
pub(super) fn is_message(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first >> 6 == 0)
}

/// Whether this is a request that is too long to be read (RFC 8489 section 5 shows the class bits).
pub(super) fn is_oversized_request(bytes: &[u8]) -> bool {
    let is_request = matches!(bytes, [first, second, ..] if first & 1 == 0 && second & 0x10 == 0);
    is_message(bytes) && is_request && bytes.len() > MAX_REQUEST_BYTES
}

/// Length of a message on a stream, with padding (RFC 8489 section 6.2.2, RFC 8656 section 12.5).
pub(super) fn frame_length(head: [u8; FRAME_HEADER_BYTES]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    match head[0] >> 6 {
        0 if length.is_multiple_of(4) => Some(STUN_HEADER_BYTES + length),
        1 => Some(FRAME_HEADER_BYTES + length.next_multiple_of(4)),
        _ => None,
    }
}

/// None for what is no request, or an oversized one.
pub(super) fn parse_request(bytes: &[u8]) -> Option<StunRequest> {
    if is_oversized_request(bytes) {
        return None;
    }
    let message = Message::from_bytes(bytes).ok()?;
    if !message.has_class(MessageClass::Request) {
        return None;
    }
    let method = message.method();
    Some(if method == BINDING {
        StunRequest::Binding
    } else if method == ALLOCATE {
        let username = message.attribute::<Username>().ok();
        let names_family = message.has_attribute(RequestedAddressFamily::TYPE)
            || message.has_attribute(AdditionalAddressFamily::TYPE);
        StunRequest::Allocate {
            username: username.map(|name| name.username().to_owned()),
            names_family,
        }
    } else if method == CREATE_PERMISSION || method == CHANNEL_BIND {
        let peers = message
            .iter_attributes()
            .filter(|(_, attribute)| attribute.get_type() == XorPeerAddress::TYPE)
            .filter_map(|(_, attribute)| XorPeerAddress::from_raw(attribute).ok())
            .map(|peer| peer.addr(message.transaction_id()))
            .take(MAX_REQUEST_PEERS + 1)
            .collect();
        StunRequest::PermitPeers {
            peers,
            binds_channel: method == CHANNEL_BIND,
        }
    } else {
        StunRequest::Other
    })
}

pub(super) fn binding_response(bytes: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let message = Message::from_bytes(bytes).ok()?;
    let mut answer = Message::builder_success(&message, MessageWriteVec::with_capacity(44));
    let seen = XorMappedAddress::new(from, message.transaction_id());
    answer.add_attribute(&seen).ok()?;
    answer.add_fingerprint().ok()?;
    Some(answer.finish())
}

/// Long-term credential of a user in the realm.
#[derive(Debug, Clone)]
pub(super) struct IntegrityKey(MessageIntegrityCredentials);

impl IntegrityKey {
    pub(super) fn new(username: &str, password: &str, realm: &str) -> Self {
        let own = str::to_owned;
        let credentials = LongTermKeyCredentials::new(own(username), own(password), own(realm));
        Self(credentials.into())
    }

    fn integrity_algorithm(&self, message: &Message<'_>) -> Option<IntegrityAlgorithm> {
        message.validate_integrity(&self.0).ok()
    }

    pub(super) fn verifies(&self, bytes: &[u8]) -> bool {
        Message::from_bytes(bytes).is_ok_and(|message| self.integrity_algorithm(&message).is_some())
    }

    /// A signed error response, unless the request was not signed with this key.
    pub(super) fn error_response(&self, bytes: &[u8], code: u16) -> Option<Vec<u8>> {
        let message = Message::from_bytes(bytes).ok()?;
        let how = self.integrity_algorithm(&message)?;
        let mut answer = Message::builder_error(&message, MessageWriteVec::with_capacity(80));
        let error = ErrorCode::builder(code).build().ok()?;
        answer.add_attribute(&error).ok()?;
        answer.add_message_integrity(&self.0, how).ok()?;
        Some(answer.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use turn_server_proto::types::{attribute::Data, message::SEND};

    #[test]
    fn a_stream_is_cut_where_messages_and_channel_data_end() {
        assert_eq!(frame_length([0x00, 0x01, 0x00, 0x08]), Some(28));
        assert_eq!(frame_length([0x00, 0x01, 0x00, 0x07]), None);
        assert_eq!(frame_length([0x40, 0x00, 0x00, 0x05]), Some(12));
        assert_eq!(frame_length([0x80, 0x00, 0x00, 0x04]), None);
        assert_eq!(frame_length([0xC0, 0x00, 0x00, 0x04]), None);
    }

    #[test]
    fn what_is_forbidden_is_said_to_whoever_signed_the_request_and_to_nobody_else() {
        let signature = IntegrityKey::new("ada", "secret", "rialto");
        let mut request = Message::builder_request(CREATE_PERMISSION, MessageWriteVec::new());
        let peer: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let peer = XorPeerAddress::new(peer, request.transaction_id());
        request.add_attribute(&peer).unwrap();
        request
            .add_message_integrity(&signature.0, IntegrityAlgorithm::Sha1)
            .unwrap();
        let request = request.finish();
        let reached = StunRequest::PermitPeers {
            peers: vec!["127.0.0.1:80".parse().unwrap()],
            binds_channel: false,
        };
        assert_eq!(parse_request(&request), Some(reached));
        let answer = signature.error_response(&request, FORBIDDEN).unwrap();
        let answer = Message::from_bytes(&answer).unwrap();
        assert_eq!(answer.attribute::<ErrorCode>().unwrap().code(), 403);
        assert!(signature.integrity_algorithm(&answer).is_some());
        let other = IntegrityKey::new("ada", "guessed", "rialto");
        assert_eq!(other.error_response(&request, FORBIDDEN), None);
    }

    fn create_permission(peers: u16) -> Vec<u8> {
        let mut request = Message::builder_request(CREATE_PERMISSION, MessageWriteVec::new());
        for port in 0..peers {
            let peer = SocketAddr::from(([192, 0, 2, 1], port));
            let peer = XorPeerAddress::new(peer, request.transaction_id());
            request.add_attribute(&peer).unwrap();
        }
        request.finish()
    }

    #[test]
    fn of_too_many_peers_one_more_than_allowed_is_read() {
        for (named, read) in [(1, 1), (16, 16), (17, 17), (100, 17)] {
            match parse_request(&create_permission(named)) {
                Some(StunRequest::PermitPeers { peers, .. }) => assert_eq!(peers.len(), read),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_oversized_request_is_not_read() {
        let request = create_permission(130);
        assert!(request.len() > MAX_REQUEST_BYTES && is_oversized_request(&request));
        assert_eq!(parse_request(&request), None);
        let mut indication = Message::builder_indication(SEND, MessageWriteVec::new());
        indication.add_attribute(&Data::new(&[0; 2_000])).unwrap();
        assert!(!is_oversized_request(&indication.finish()));
    }

    #[test]
    fn who_asks_is_told_from_where_they_are_seen() {
        let request = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
        let from: SocketAddr = "198.51.100.7:4000".parse().unwrap();
        let answer = binding_response(&request, from).unwrap();
        let answer = Message::from_bytes(&answer).unwrap();
        let seen = answer.attribute::<XorMappedAddress>().unwrap();
        assert_eq!(seen.addr(answer.transaction_id()), from);
    }

    #[test]
    fn what_is_no_request_asks_for_nothing() {
        assert_eq!(parse_request(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), None);
        let indication = Message::builder_indication(BINDING, MessageWriteVec::new()).finish();
        assert_eq!(parse_request(&indication), None);
    }
}
