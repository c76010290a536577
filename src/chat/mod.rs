//! Chat: rooms, messages and files.
//!
//! | module | purpose |
//! |---|---|
//! | [`api`] | server functions: sidebar, history, plain form posts, creating rooms |
//! | [`client`] | client state kept across navigation: rooms, timelines, outbox, uploads |
//! | [`page`], [`room_list`], [`connection_banner`] | layout, sidebar, banner for a lost connection |
//! | [`room`], [`message`], [`person_menu`], [`composer`] | a room's timeline, its messages, the message form |
//! | [`server`] | WebSocket frames of chat, uploads, `GET /files` |

pub mod api;
pub mod client;
pub mod composer;
pub mod connection_banner;
pub mod message;
pub mod page;
pub mod person_menu;
pub mod room;
pub mod room_list;
#[cfg(feature = "ssr")]
pub mod server;
