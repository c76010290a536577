//! Wire types of the protocol between server and clients, compiled for both sides.
//!
//! `docs/protocol.md` documents them; a test parses each of its examples with these types.
//!
//! | module | contents |
//! |---|---|
//! | [`ws`] | text frames of `GET /ws`, in both directions |
//! | [`upload`] | binary frames of `GET /ws`: chunks of a file |
//! | [`close`] | close codes of `GET /ws` |
//! | [`failure`] | error type of server functions |
//! | [`sse`] | events of `GET /news/events` |

pub mod close;
pub mod failure;
pub mod sse;
pub mod upload;
pub mod ws;

/// Subprotocol (RFC 6455 section 1.9) of the handshake.
pub const SUBPROTOCOL: &str = "rialto.v1";
