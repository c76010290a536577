//! Foundation of the services' server parts. Depends on no service.

pub mod app_state;
pub mod assets;
pub mod backup;
pub mod bus;
pub mod clock;
pub mod config;
pub mod control;
pub mod data_folder;
pub mod data_lock;
pub mod doctor;
pub mod error;
pub mod event_log;
pub mod files;
pub mod http;
pub mod http_server;
pub mod known_device;
pub mod live;
pub mod metrics;
pub mod name_skeleton;
pub mod origin;
pub mod page_status;
pub mod password;
pub mod plain_form;
pub mod prometheus_text;
pub mod proxy;
pub mod random;
pub mod rate_limit;
pub mod session;
pub mod single_flight;
pub mod slug;
pub mod socket;
pub mod store;
pub mod store_mark;
pub(crate) mod sync;
pub mod task;
pub mod tls;
pub mod turn;

#[cfg(test)]
pub(crate) mod interleavings;
#[cfg(test)]
pub(crate) mod simulation;

pub use app_state::AppState;
pub use error::{Error, Result};
