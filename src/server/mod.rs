//! What every system's server part stands on: configuration, the store, the log, live connections, sessions and HTTP
//! manners. Knows none of the systems.
//!
//! | module | what it holds |
//! |---|---|
//! | [`accept`] | connections: HTTP until they go live |
//! | [`app`] | the state that every handler shares |
//! | [`config`] | what can be set, and its defaults |
//! | [`control`] | how the command line on the same machine finds the running server |
//! | [`data_lock`] | one server at a time on a data folder |
//! | [`clock`] | the only place that asks for the time |
//! | [`secret`] | the only place that asks for randomness: tokens, ids, epochs |
//! | [`error`] | what can go wrong, what is logged of it and what the user is told |
//! | [`store`] | SQL, one file a noun |
//! | [`files`] | the bytes of what people sent |
//! | [`assets`] | the files that browsers load, and their hashes |
//! | [`bus`] | what nodes tell one another |
//! | [`log`] | commit an event, then fan it out, in that order and in sequence |
//! | [`doctor`] | whether calls can connect through this server |
//! | [`live`] | connections, their bounded outlets, who is here |
//! | [`session`] | from a cookie or a bearer token to who is asking |
//! | [`http`] | security headers, caching, cross-origin refusal, health |
//! | [`metrics`] | what is counted, for who runs this |
//! | [`password`] | argon2 off the async threads, a bounded number at a time |
//! | [`proxy`] | who asks, when a proxy asks for them |
//! | [`tls`] | TLS towards other servers |
//! | [`turn`] | STUN and TURN: the relay of calls |
//! | [`shared`] | what many ask for at once, made once |
//! | [`slug`] | addresses from titles |
//! | [`rate`] | how often somebody may try |

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
