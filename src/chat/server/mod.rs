//! The server side of chat.

mod file_inspection;
mod files;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod permissions;
mod refusals;
mod rooms;
mod send_order;
mod uploads;

pub use files::router;
pub use frames::ChatService;
pub use rooms::{
    create_room, find_room_history, hide_room, open_direct_room, post_message, sidebar,
};
pub use send_order::SendOrder;
