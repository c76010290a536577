//! WebSocket frames in wire form (RFC 6455 section 5.2), encoded once for all receivers.

use super::send_queue::EncodedFrame;
use crate::{
    protocol::{close::CloseCode, ws::ServerFrame},
    server::store::Stream,
};
use bytes::Bytes;
use tungstenite::protocol::{
    CloseFrame,
    frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

const MAX_HEADER_BYTES: usize = 10;

impl From<&ServerFrame> for EncodedFrame {
    fn from(frame: &ServerFrame) -> Self {
        let event = match frame {
            ServerFrame::Event { room, seq, .. } => Some((Stream::Room(*room), *seq)),
            _ => None,
        };
        let text = serde_json::to_vec(frame).unwrap_or_default();
        let bytes = encode(Frame::message(text, OpCode::Data(Data::Text), true));
        Self {
            bytes,
            position: event,
        }
    }
}

/// Encodes a close frame.
#[must_use]
pub fn encode_close(code: CloseCode) -> Bytes {
    encode(Frame::close(Some(CloseFrame {
        code: code.code().into(),
        reason: code.reason().into(),
    })))
}

pub(super) fn encode(frame: Frame) -> Bytes {
    let mut bytes = Vec::with_capacity(MAX_HEADER_BYTES + frame.payload().len());
    let _ = frame.format(&mut bytes);
    bytes.into()
}

#[cfg(test)]
pub(crate) fn decode(bytes: &Bytes) -> ServerFrame {
    // The length field may contain a brace byte.
    let start = bytes.windows(2).position(|two| two == b"{\"").unwrap();
    serde_json::from_slice(&bytes[start..]).unwrap()
}
