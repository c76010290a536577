//! What the page does after a change of state.

use crate::{model::RoomId, protocol::ws::ClientFrame};

/// Executed in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Dropped without a connection: the next `welcome` sends what is still needed.
    Send(ClientFrame),
    /// Calls `ChatState::on_timer` after a delay in milliseconds.
    StartTimer {
        timer: Timer,
        delay_ms: u32,
    },
    OutboxChanged,
    /// The list, or any room.
    RoomsChanged,
    /// One room, perhaps a new one.
    RoomChanged(RoomId),
    TimelineChanged(RoomId),
    TypingChanged,
    /// A gap cannot be filled: the page fetches the room and calls `ChatState::open_page`.
    RefetchRoom(RoomId),
    /// Announces unfinished uploads on the new connection.
    ResumeUploads,
    /// Another user signed in to this browser.
    ReloadPage,
}

/// A timer; one whose number is outdated does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Ends the hold of a room.
    Resend { room: RoomId, number: u32 },
    /// Resumes a room that the server could not resume.
    Resume { room: RoomId, number: u32 },
    /// Ends the interval between two read cursors.
    ReadCursor(RoomId),
    /// Removes a typing indicator.
    Typing { number: u32 },
}
