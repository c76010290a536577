//! Visibility of the page (Page Visibility, WHATWG HTML).
//!
//! leptos-use's hook listens only from an effect, which hydration defers, so it misses earlier changes.

use super::browser;
use leptos::{ev::visibilitychange, prelude::*};

#[derive(Debug, Clone, Copy)]
struct PageVisibility(ReadSignal<bool>);

/// Provides the context, before dependent effects.
pub fn provide_page_visibility() {
    let (is_visible, set_visible) = signal(true);
    Effect::new(move || {
        let update = move || {
            let is_visible_now = browser::is_visible();
            set_visible.try_maybe_update(|is_visible| {
                (
                    std::mem::replace(is_visible, is_visible_now) != is_visible_now,
                    (),
                )
            });
        };
        update();
        let listener = window_event_listener(visibilitychange, move |_| update());
        on_cleanup(move || listener.remove());
    });
    provide_context(PageVisibility(is_visible));
}

/// Whether the page is visible; true before the first effects.
///
/// # Panics
///
/// Outside the app.
#[must_use]
pub fn use_page_visibility() -> Signal<bool> {
    expect_context::<PageVisibility>().0.into()
}
