//! Calls between two people and in rooms: WebRTC between browsers, signalled over the WebSocket.

#![allow(
    clippy::similar_names,
    reason = "caller and callee are the words for them"
)]

pub mod api;
pub mod chunk;
pub mod client;
#[cfg(feature = "ssr")]
pub mod server;
pub mod view;
