//! How far rooms are read: said to the server at once, and then once a second at most, whatever a busy room does.

use crate::{
    model::{RoomId, Seq},
    protocol::ws::ClientFrame,
    ui::{browser, socket::Socket},
};
use leptos::prelude::*;
use std::collections::HashMap;

/// It is said this often at most for each room, in milliseconds.
const READ_CURSOR_INTERVAL: i32 = 1_000;

/// The rooms of which it was said a moment ago how far they are read, and what is to be said next. A handle: copy it freely.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadCursorSender(StoredValue<HashMap<RoomId, Option<Seq>>>);

impl ReadCursorSender {
    pub(super) fn new() -> Self {
        Self(StoredValue::new(HashMap::new()))
    }

    /// Says it now, or when the second since it was last said is over. False when it cannot be said. Browser only.
    pub(super) fn send(self, socket: Socket, room: RoomId, seq: Seq) -> bool {
        let waits = self.0.with_value(|rooms| rooms.contains_key(&room));
        if !waits && !socket.send(&ClientFrame::Read { room, seq }) {
            return false;
        }
        self.0.update_value(|rooms| {
            rooms.insert(room, waits.then_some(seq));
        });
        if !waits {
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
