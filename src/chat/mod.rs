//! Chat: rooms, messages, files.
//!
//! | module | what it holds |
//! |---|---|
//! | [`api`] | server functions: reading a room, posting by form, making rooms |
//! | [`client`] | the page's rooms, timelines, outbox and uploads, kept across navigation |
//! | [`page`] and [`rooms`], [`room`], [`message`], [`person_menu`], [`composer`], [`link`] | what it looks like |
//! | [`server`] | frames about chat, uploads, `GET /files` |

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
