//! People: who is asking, signing in, names, settings, administration, and who is here.
//!
//! | module | what it holds |
//! |---|---|
//! | [`api`] | server functions |
//! | [`viewer`] | who this page belongs to, as a context |
//! | [`presence`] | who is here, as a context; what a Call button does |
//! | [`signin`], [`settings`], [`admin`] | pages |
//! | [`server`] | the rules behind the server functions |

pub mod admin;
pub mod api;
pub mod presence;
#[cfg(feature = "ssr")]
pub mod server;
pub mod settings;
pub mod signin;
pub mod viewer;

pub use presence::{CallActions, PresenceList, UnlistedCount, use_call_actions, use_presence};
pub use viewer::{CurrentUser, RequireSession, Viewer, use_viewer};
