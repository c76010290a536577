//! Calls between two people and in rooms: WebRTC from browser to browser, signalled over the WebSocket.
//!
//! | module | what it holds |
//! |---|---|
//! | [`server`] | who rings, who answers, how it ends: decided and stored here |
//! | [`client`] | what this page shows, its devices, and the connection to the other page |
//! | [`coming`] | the dock's place on a page, before its code is there |
//! | [`dock`] | where a call is shown, on every page; `preview`, `incoming`, `waiting`, `stage` and `farewell` are what it shows |
//! | [`pictures`] | what is seen and heard of the other one |
//! | [`device_choice`] | choosing microphone, camera and speaker |
//! | [`group_stage`] | the call of a room |
//! | [`head`] | buttons that both kinds of call have |
//! | [`guest_links`], [`guest_page`] | links for guests to one call, and what they lead to |
//! | [`files`] | files that go straight to the other one |
//! | [`quality`] | how good the connection is |
//! | [`ringing`] | how calls make themselves noticed, in Settings |
//! | [`keys`] | keys in a call |
//! | `part` | what comes when it is needed |
//! | [`page`] | `/calls`: whom one can call, and the calls there were |
//! | [`trial`] | testing one's own connection, in Settings |
//! | [`api`] | server functions |
//! | [`words`] | what the dock says while a call goes on |

#![allow(
    clippy::similar_names,
    reason = "caller and callee are the words for them"
)]

pub mod api;
pub mod client;
pub mod connection_quality;
pub mod connection_test;
pub mod controls;
pub mod device_picker;
pub mod dock;
pub mod ended;
pub mod file_transfers;
pub mod group_stage;
pub mod guest_links;
pub mod guest_page;
pub mod header_buttons;
pub mod incoming;
pub mod keyboard_shortcuts;
mod lazy_chunk;
pub mod lazy_slot;
pub mod notification_settings;
pub mod page;
pub mod peer_media;
pub mod preview;
#[cfg(feature = "ssr")]
pub mod server;
pub mod stage;
pub mod text;
pub mod waiting;
