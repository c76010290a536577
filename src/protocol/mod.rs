//! What travels between server and browser: compiled for both sides, so that the two cannot disagree.
//!
//! `docs/protocol.md` describes the same with an example for each frame; a test parses every example with these types.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ws`] | text frames of `GET /ws`, both ways |
//! | [`upload`] | binary frames of `GET /ws`: chunks of a file |
//! | [`close`] | close codes of `GET /ws` |
//! | [`failure`] | what a server function answers when it cannot |
//! | [`sse`] | events of `GET /news/events` |

pub mod close;
pub mod failure;
pub mod sse;
pub mod upload;
pub mod ws;

/// The WebSocket subprotocol (RFC 6455 section 1.9) that both sides name in the handshake.
pub const SUBPROTOCOL: &str = "rialto.v1";
