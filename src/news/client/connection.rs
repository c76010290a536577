//! The page's stream connection.

use crate::{
    model::reconnect::ReconnectState, news::reconnect_policy::StreamPolicy,
    ui::reconnect::PageEvents,
};
use wasm_bindgen::prelude::Closure;
use web_sys::{Event, EventSource, MessageEvent};

pub(super) struct Connection {
    pub(super) event_source: Option<EventSourceHandle>,
    pub(super) reconnect: ReconnectState<StreamPolicy>,
    /// The current cursor cannot be resumed from.
    pub(super) needs_status: bool,
    pub(super) page_events: Option<PageEvents>,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            event_source: None,
            reconnect: ReconnectState::new(StreamPolicy::new()),
            needs_status: false,
            page_events: None,
        }
    }
}

pub(super) struct EventSourceHandle {
    pub(super) source: EventSource,
    pub(super) _on_error: Closure<dyn FnMut(Event)>,
    pub(super) _on_event: [Closure<dyn FnMut(MessageEvent)>; 4],
}

impl Drop for EventSourceHandle {
    fn drop(&mut self) {
        // After `close()` not even a queued event is dispatched.
        self.source.set_onerror(None);
        self.source.close();
    }
}
