//! The server's part of chat.

mod files;
mod frames;
mod rooms;
mod upload;

pub use files::router;
pub use frames::Chat;
pub use rooms::{create_room, open_direct, post, room_page, sidebar};
