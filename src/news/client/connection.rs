//! The one connection of a page, with the closures that it calls.

use crate::{news::reconnect_policy::ReconnectPolicy, ui::browser};
use std::cell::RefCell;
use wasm_bindgen::prelude::Closure;
use web_sys::{Event, EventSource, MessageEvent};

/// What there is one of in a page. Lives outside the reactive graph, because it holds handles of the browser, and is never
/// touched on the server.
pub(super) struct ConnectionState {
    pub(super) event_source: Option<EventSourceHandle>,
    /// Counts connections: what a former one still has to say is ignored.
    pub(super) generation: u32,
    pub(super) policy: ReconnectPolicy,
    /// Whether the cursor has to be fetched before connecting, because the one at hand cannot be resumed from.
    pub(super) needs_status: bool,
}

/// An `EventSource` and the closures it calls, which live exactly as long.
pub(super) struct EventSourceHandle {
    pub(super) source: EventSource,
    pub(super) _on_error: Closure<dyn FnMut(Event)>,
    pub(super) _on_event: [Closure<dyn FnMut(MessageEvent)>; 4],
}

impl Drop for EventSourceHandle {
    fn drop(&mut self) {
        // After this nothing more is dispatched, also nothing that has arrived already.
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

/// The connection is gone, or is given up; the next one follows after a backoff.
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
