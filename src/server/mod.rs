//! Foundation of every service's server part: configuration, store, event log, live connections, sessions and HTTP. Depends on
//! no service.
//!
//! | module | contents |
//! |---|---|
//! | [`app_state`] | state shared by all handlers |
//! | [`assets`] | URLs and hashes of the browser files |
//! | [`bus`] | messages between nodes |
//! | [`clock`] | the system clock |
//! | [`config`] | settings and their defaults |
//! | [`control`] | how the command line on the same machine finds the running server |
//! | [`data_lock`] | lock on the data folder |
//! | [`doctor`] | self-test of the server, mainly of calls |
//! | [`error`] | errors, their logging and their HTTP status |
//! | [`event_log`] | committing events and fanning them out, in sequence |
//! | [`files`] | contents of uploaded files |
//! | [`http`] | security headers, caching, origin checks |
//! | [`http_server`] | accepting connections, and taking them over from HTTP |
//! | [`live`] | live connections, their bounded send queues, presence |
//! | [`metrics`] | metrics for the operator |
//! | [`page_status`] | HTTP status of a page that shows a failure |
//! | [`password`] | argon2 off the async threads, with bounded concurrency |
//! | [`proxy`] | client addresses behind trusted proxies |
//! | [`random`] | randomness: tokens, ids, epochs |
//! | [`rate_limit`] | token buckets |
//! | [`session`] | authentication by cookie or bearer token |
//! | [`single_flight`] | one computation for concurrent requests |
//! | [`slug`] | slugs from titles |
//! | [`store`] | SQL, one file for each noun |
//! | [`tls`] | TLS towards other servers |
//! | [`turn`] | STUN server and TURN relay |

pub mod app_state;
pub mod assets;
pub mod bus;
pub mod clock;
pub mod config;
pub mod control;
pub mod data_lock;
pub mod doctor;
pub mod error;
pub mod event_log;
pub mod files;
pub mod http;
pub mod http_server;
pub mod live;
pub mod metrics;
pub mod page_status;
pub mod password;
pub mod proxy;
pub mod random;
pub mod rate_limit;
pub mod session;
pub mod single_flight;
pub mod slug;
pub mod store;
pub mod tls;
pub mod turn;

pub use app_state::AppState;
pub use error::{Error, Result};
