//! People: signing in, names, settings, administration and presence.

pub mod admin;
pub mod api;
mod blocking;
mod call_settings;
pub mod presence;
#[cfg(feature = "ssr")]
pub mod role_command;
#[cfg(feature = "ssr")]
pub mod server;
pub mod settings;
pub mod signin;
pub mod viewer;

pub use blocking::{BlockButton, UnblockButton};
pub use presence::{CallActions, PresenceList, UnlistedCount, use_call_actions, use_presence};
pub use viewer::{CurrentUser, RequireSession, Viewer, use_viewer};
