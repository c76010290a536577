//! Components and hooks that depend on none of the systems.

pub mod avatar;
pub mod browser;
pub mod browser_apis;
pub mod browser_state;
pub mod build;
pub mod char_counter;
pub mod details_menu;
pub mod file_drop;
pub mod findings;
pub mod form;
pub mod hydration;
pub mod icon;
pub mod lazy;
pub mod loading;
pub mod notice;
pub mod page_failure;
pub mod page_visibility;
pub mod presence;
pub mod reconnect;
pub mod refetch;
pub mod rejected_form;
pub mod role_mark;
pub mod socket;
pub mod time;
