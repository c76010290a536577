//! Components of calls: the dock, `/calls`, `/call/{token}` and settings.

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
