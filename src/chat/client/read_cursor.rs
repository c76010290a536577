//! Sending of read cursors: at once, then at most once a second per room.

use crate::{
    model::{RoomId, Seq},
    protocol::ws::ClientFrame,
    ui::{browser, socket::Socket},
};
use leptos::prelude::*;
use std::collections::HashMap;

/// In milliseconds.
const READ_CURSOR_INTERVAL: i32 = 1_000;

/// The rooms within their interval, with the cursor to send at its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadCursorSender(StoredValue<HashMap<RoomId, Option<Seq>>>);

impl ReadCursorSender {
    pub(super) fn new() -> Self {
        Self(StoredValue::new(HashMap::new()))
    }

    /// Sends now, or at the end of the room's interval. Returns false if due now without a connection.
    pub(super) fn send(self, socket: Socket, room: RoomId, seq: Seq) -> bool {
        let is_waiting = self.0.with_value(|rooms| rooms.contains_key(&room));
        if !is_waiting && !socket.send(&ClientFrame::Read { room, seq }) {
            return false;
        }
        self.0.update_value(|rooms| {
            rooms.insert(room, is_waiting.then_some(seq));
        });
        if !is_waiting {
            browser::run_after(READ_CURSOR_INTERVAL, move || {
                let mut next = None;
                self.0
                    .update_value(|rooms| next = rooms.remove(&room).flatten());
                if let Some(seq) = next {
                    self.send(socket, room, seq);
                }
            });
        }
        true
    }
}
