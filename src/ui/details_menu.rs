//! A menu in a `<details>` element, which opens without JavaScript. A press or focus outside and Escape close it.

use leptos::{ev, html, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{
    EventTarget, HtmlDetailsElement, HtmlElement, Node, ScrollIntoViewOptions,
    ScrollLogicalPosition,
};

/// A menu.
#[component]
pub fn DetailsMenu(
    handle: MenuHandle,
    class: &'static str,
    /// A summary, and a panel as the last child.
    children: Children,
) -> impl IntoView {
    view! {
        <details
            class=class
            node_ref=handle.details
            on:toggle=move |_| handle.on_toggle()
            on:keydown=move |event| handle.on_keydown(&event)
            on:focusout=move |event| handle.on_focusout(&event)
        >
            {children()}
        </details>
    }
}

/// Closes a [`DetailsMenu`].
#[derive(Debug, Clone, Copy)]
pub struct MenuHandle {
    details: NodeRef<html::Details>,
    /// Set while the menu is open.
    outside_press_listener: StoredValue<Option<WindowListenerHandle>>,
}

impl Default for MenuHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl MenuHandle {
    /// Closed. Its listener goes with the current owner.
    #[must_use]
    pub fn new() -> Self {
        let menu = Self {
            details: NodeRef::new(),
            outside_press_listener: StoredValue::new(None),
        };
        on_cleanup(move || menu.stop_listening());
        menu
    }

    fn on_toggle(self) {
        self.stop_listening();
        if self.open_details().is_none() {
            return;
        }
        self.scroll_into_view();
        let listener = window_event_listener(ev::pointerdown, move |event| {
            if !self.contains(event.target()) {
                self.close();
            }
        });
        self.outside_press_listener.try_set_value(Some(listener));
    }

    /// `None` also once disposed: events may come later.
    fn element(self) -> Option<HtmlDetailsElement> {
        self.details.try_get_untracked().flatten()
    }

    fn open_details(self) -> Option<HtmlDetailsElement> {
        self.element().filter(HtmlDetailsElement::open)
    }

    /// Scrolls the panel into view, if it is open: a scrolling container clips it.
    pub fn scroll_into_view(self) {
        let actions = self
            .open_details()
            .and_then(|details| details.last_element_child());
        if let Some(actions) = actions {
            let nearest = ScrollIntoViewOptions::new();
            nearest.set_block(ScrollLogicalPosition::Nearest);
            nearest.set_inline(ScrollLogicalPosition::Nearest);
            actions.scroll_into_view_with_scroll_into_view_options(&nearest);
        }
    }

    fn on_keydown(self, event: &ev::KeyboardEvent) {
        let is_escape = event.key() == "Escape";
        let Some(details) = self.open_details().filter(|_| is_escape) else {
            return;
        };
        event.prevent_default();
        self.close();
        let summary = details
            .first_element_child()
            .and_then(|summary| summary.dyn_into::<HtmlElement>().ok());
        if let Some(summary) = summary {
            let _ = summary.focus();
        }
    }

    /// Without a related target, the window lost the focus, or a press cleared it, which the press listener handles.
    fn on_focusout(self, event: &ev::FocusEvent) {
        let to = event.related_target();
        if to.is_some() && !self.contains(to) {
            self.close();
        }
    }

    /// Closes the menu.
    pub fn close(self) {
        if let Some(details) = self.element() {
            details.set_open(false);
        }
    }

    fn contains(self, target: Option<EventTarget>) -> bool {
        let node = target.and_then(|target| target.dyn_into::<Node>().ok());
        self.element()
            .is_some_and(|details| details.contains(node.as_ref()))
    }

    fn stop_listening(self) {
        let listener = self
            .outside_press_listener
            .try_update_value(Option::take)
            .flatten();
        if let Some(listener) = listener {
            listener.remove();
        }
    }
}
