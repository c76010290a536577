//! The one connection of a page, with the closures that it calls.

use crate::{news::watch::Watch, ui::browser};
use std::cell::RefCell;
use wasm_bindgen::prelude::Closure;
use web_sys::{Event, EventSource, MessageEvent};

/// What there is one of in a page. Lives outside the reactive graph, because it holds handles of the browser, and is never
/// touched on the server.
pub(super) struct Wire {
    pub(super) connected: Option<Connected>,
    /// Counts connections: what a former one still has to say is ignored.
    pub(super) generation: u32,
    pub(super) watch: Watch,
    /// Whether the cursor has to be fetched before connecting, because the one at hand cannot be resumed from.
    pub(super) fetch_first: bool,
}

/// An `EventSource` and the closures it calls, which live exactly as long.
pub(super) struct Connected {
    pub(super) source: EventSource,
    pub(super) _on_error: Closure<dyn FnMut(Event)>,
    pub(super) _on_event: [Closure<dyn FnMut(MessageEvent)>; 4],
}

impl Drop for Connected {
    fn drop(&mut self) {
        // After this nothing more is dispatched, also nothing that has arrived already.
        self.source.set_onerror(None);
        self.source.close();
    }
}

thread_local! {
    static WIRE: RefCell<Wire> = const {
        RefCell::new(Wire { connected: None, generation: 0, watch: Watch::new(), fetch_first: false })
    };
}

pub(super) fn wire<T>(then: impl FnOnce(&mut Wire) -> T) -> T {
    WIRE.with_borrow_mut(then)
}

/// The connection is gone, or is given up; the next one follows after a backoff.
pub(super) fn lost() {
    wire(|wire| {
        wire.hang_up();
        wire.watch.lost(browser::now(), browser::random());
    });
}

pub(super) fn is_current(generation: u32) -> bool {
    wire(|wire| wire.generation) == generation
}

impl Wire {
    pub(super) fn hang_up(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.connected = None;
    }
}
