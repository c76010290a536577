//! Components of calls.
//!
//! | module | contents |
//! |---|---|
//! | [`lazy_dock`] | the place of the dock on every page, before its chunk is loaded |
//! | [`dock`] | the dock: shows a preview, a ringing call, a call or its end |
//! | [`dock_size`] | whether the dock is expanded |
//! | `preview`, `incoming`, `waiting`, `ended` | cards of the dock |
//! | `stage`, `group_stage` | the dock in a two-party call, and in a group call |
//! | `controls`, `header_buttons`, `device_picker` | buttons in a call |
//! | `peer_media` | video, screen and audio of a remote participant |
//! | `connection_quality` | quality of the connection, and its details |
//! | `file_transfers` | files sent over the data channel |
//! | `guest_links` | creating and revoking guest links |
//! | `text` | the state of a call as text |
//! | [`keyboard_shortcuts`] | shortcuts in a call, and their setting |
//! | [`page`] | `/calls`: the people who can be called, and past calls |
//! | [`guest_page`] | `/call/{token}`: joining a group call as a guest |
//! | [`connection_test`] | the connection test in Settings |
//! | [`notification_settings`] | sound and notifications of incoming calls |

pub mod connection_quality;
pub mod connection_test;
mod controls;
mod device_picker;
pub mod dock;
pub mod dock_size;
mod ended;
mod file_transfers;
mod group_stage;
mod guest_links;
pub mod guest_page;
mod header_buttons;
mod incoming;
pub mod keyboard_shortcuts;
pub mod lazy_dock;
pub mod notification_settings;
pub mod page;
mod peer_media;
mod preview;
mod stage;
pub mod text;
mod waiting;
