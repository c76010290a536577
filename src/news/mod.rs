//! News: stories that editors publish, streamed as server-sent events.

pub mod api;
pub mod banner;
pub mod client;
pub mod editor;
mod headline_list;
mod links;
pub mod page;
pub(crate) mod reconnect_policy;
#[cfg(feature = "ssr")]
pub mod server;
pub mod story;
