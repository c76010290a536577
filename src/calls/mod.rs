//! Calls between two people and in rooms: WebRTC between browsers, signalled over the WebSocket.
//!
//! | module | contents |
//! |---|---|
//! | [`api`] | server functions and their types |
//! | [`view`] | components: the dock, `/calls`, `/call/{token}`, settings |
//! | [`client`] | the page's state, devices, peer connections, file transfers |
//! | [`server`] | call state: decided, stored and published |
//! | [`chunk`] | the lazily loaded client and dock |

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
