//! Chat: rooms, messages and files.

pub mod api;
pub mod client;
pub mod composer;
pub mod connection_banner;
mod direct_room_menu;
pub mod message;
pub mod page;
pub mod person_menu;
pub mod room;
pub mod room_list;
#[cfg(feature = "ssr")]
pub mod server;
