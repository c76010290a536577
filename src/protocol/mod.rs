//! Wire types of the protocol between server and clients, documented in `docs/protocol.md`.

pub mod close;
pub mod failure;
pub mod sse;
pub mod upload;
pub mod ws;

/// Subprotocol (RFC 6455 section 1.9).
pub const SUBPROTOCOL: &str = "rialto.v1";
