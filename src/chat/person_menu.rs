//! The menu behind an author's name: a `<details>` element, which works without JavaScript.

use super::{
    api::OpenDirectRoom,
    room_list::{CallButtons, open_answered_room},
};
use crate::{
    model::{UserId, user::Person},
    ui::{
        form::ActionFailure,
        icon::{Glyph, Icon},
    },
};
use leptos::{ev, html, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{
    EventTarget, HtmlDetailsElement, HtmlElement, Node, ScrollIntoViewOptions,
    ScrollLogicalPosition,
};

/// A person's name that opens the menu.
#[component]
pub fn PersonMenu(
    person: Person,
    /// The reader, whose own name has no menu.
    me: UserId,
) -> impl IntoView {
    let name = person.name.to_string();
    if person.id == me {
        return view! {
            <span class="message-author" dir="auto">
                {name}
            </span>
        }
        .into_any();
    }
    let id = person.id.to_string();
    let menu = Menu::new();
    let open_direct = ServerAction::<OpenDirectRoom>::new();
    open_answered_room(open_direct);
    Effect::new(move || {
        open_direct.value().with(|opened| match opened {
            // If the direct room is open, no navigation removes the menu.
            Some(Ok(_)) => menu.close(),
            // The menu has the failure once rendered.
            Some(Err(_)) => request_animation_frame(move || menu.scroll_into_view()),
            None => {}
        });
    });
    view! {
        <details
            class="person-menu"
            node_ref=menu.details
            on:toggle=move |_| menu.on_toggle()
            on:keydown=move |event| menu.on_keydown(&event)
            on:focusout=move |event| menu.on_focusout(&event)
        >
            <summary class="message-author" dir="auto">
                {name}
            </summary>
            <div class="person-menu-actions">
                <ActionForm action=open_direct>
                    <input type="hidden" name="with" value=id />
                    <input type="hidden" name="wants_slug" value="true" />
                    <button
                        type="submit"
                        class="button small"
                        aria-busy=move || open_direct.pending().get().then_some("true")
                    >
                        <Icon name=Glyph::Chat />
                        "Message"
                    </button>
                </ActionForm>
                <CallButtons person />
                <ActionFailure action=open_direct />
            </div>
        </details>
    }
    .into_any()
}

#[derive(Debug, Clone, Copy)]
struct Menu {
    details: NodeRef<html::Details>,
    /// Set while the menu is open.
    outside_press_listener: StoredValue<Option<WindowListenerHandle>>,
}

impl Menu {
    fn new() -> Self {
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

    /// The timeline clips the menu.
    fn scroll_into_view(self) {
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

    fn close(self) {
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
