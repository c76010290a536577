//! The page's single stream connection and its event listeners.

use crate::{news::reconnect_policy::ReconnectPolicy, ui::browser};
use std::cell::RefCell;
use wasm_bindgen::prelude::Closure;
use web_sys::{Event, EventSource, MessageEvent};

/// Connection state of the page. It holds browser handles, so it lives outside the reactive graph and is never used on
/// the server.
pub(super) struct ConnectionState {
    pub(super) event_source: Option<EventSourceHandle>,
    /// Connection counter; events of earlier connections are ignored.
    pub(super) generation: u32,
    pub(super) policy: ReconnectPolicy,
    /// Whether a new cursor must be fetched before connecting, because the current one cannot be resumed from.
    pub(super) needs_status: bool,
}

/// An `EventSource` with its listener closures, dropped together.
pub(super) struct EventSourceHandle {
    pub(super) source: EventSource,
    pub(super) _on_error: Closure<dyn FnMut(Event)>,
    pub(super) _on_event: [Closure<dyn FnMut(MessageEvent)>; 4],
}

impl Drop for EventSourceHandle {
    fn drop(&mut self) {
        // After `close()` no event is dispatched, not even one already queued.
        self.source.set_onerror(None);
        self.source.close();
    }
}

thread_local! {
    static CONNECTION_STATE: RefCell<ConnectionState> = const {
        RefCell::new(ConnectionState { event_source: None, generation: 0, policy: ReconnectPolicy::new(), needs_status: false })
    };
}

pub(super) fn with_connection<T>(then: impl FnOnce(&mut ConnectionState) -> T) -> T {
    CONNECTION_STATE.with_borrow_mut(then)
}

/// Closes the connection and schedules the next one after a backoff.
pub(super) fn schedule_reconnect() {
    with_connection(|wire| {
        wire.close();
        wire.policy.on_disconnect(browser::now(), browser::random());
    });
}

pub(super) fn is_current(generation: u32) -> bool {
    with_connection(|wire| wire.generation) == generation
}

impl ConnectionState {
    pub(super) fn close(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.event_source = None;
    }
}
