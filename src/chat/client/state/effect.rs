//! What the page does after a change of the chat state.

use crate::{model::RoomId, protocol::ws::ClientFrame};

/// Executed in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Dropped without a connection: the next `welcome` sends again what is still needed.
    Send(ClientFrame),
    /// Calls `ChatState::on_timer` after a delay in milliseconds.
    StartTimer { timer: Timer, delay_ms: u32 },
    /// The outbox is shown and saved.
    OutboxChanged,
    /// The list of rooms, or any of them.
    RoomsChanged,
    /// One room, perhaps a new one.
    RoomChanged(RoomId),
    /// The messages of an open room.
    TimelineChanged(RoomId),
    /// Who is typing.
    TypingChanged,
    /// The timeline has a gap for good: the page fetches the room and calls `ChatState::open_page`.
    RefetchRoom(RoomId),
    /// Unfinished uploads are announced on the new connection.
    ResumeUploads,
    /// Another user signed in to this browser.
    ReloadPage,
}

/// A timer. A number tells the latest of a kind from earlier ones, which do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Ends the hold of a room.
    Resend { room: RoomId, number: u32 },
    /// Resumes a room that the server could not resume.
    Resume { room: RoomId, number: u32 },
    /// Ends the interval between two read cursors of a room.
    ReadCursor(RoomId),
    /// Removes a person who is no longer typing.
    Typing { number: u32 },
}
