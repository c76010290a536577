//! People: the current user, signing in, names, settings, administration and presence.
//!
//! | module | purpose |
//! |---|---|
//! | [`api`] | server functions |
//! | [`viewer`] | the current user of the page, as a context |
//! | [`presence`] | the presence list and the actions of call buttons, as contexts |
//! | [`signin`], [`settings`], [`admin`] | pages |
//! | [`server`] | the operations behind the server functions |

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
