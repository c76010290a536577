//! News: stories that editors publish, rendered by the server and live over server-sent events.
//!
//! | module | what it holds |
//! |---|---|
//! | [`api`] | server functions |
//! | [`client`] | the live stream in the browser, as a context |
//! | [`banner`] | breaking news, on every page |
//! | [`page`] | `/`: the latest stories and what waits to be shown |
//! | [`story`] | `/news/{slug}` |
//! | [`editor`] | `/news/new` |
//! | [`server`] | publishing, `GET /news/events`, `POST /api/v1/stories`, the command line |
//!
//! What a page shows and what waits is decided in [`crate::model::headlines`].

pub mod api;
pub mod banner;
pub mod client;
pub mod editor;
mod headline_list;
mod links;
pub mod page;
mod reconnect_policy;
#[cfg(feature = "ssr")]
pub mod server;
pub mod story;
