//! News: stories that editors publish, rendered on the server and streamed over server-sent events.
//!
//! | module | contents |
//! |---|---|
//! | [`api`] | server functions |
//! | [`client`] | live stream in the browser, provided as a context |
//! | [`banner`] | breaking-news banner of every page |
//! | [`page`] | `/`: the latest stories, and the count of pending ones |
//! | [`story`] | `/news/{slug}`: one story |
//! | [`editor`] | `/news/new`: the editor's form |
//! | `server` | publishing, `GET /news/events`, `POST /api/v1/stories`, command line (feature `ssr`) |
//!
//! [`crate::model::headlines`] decides which stories a list shows and which stay pending.

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
