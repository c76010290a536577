//! The menu behind the name of a message's author: who somebody is and how to reach them.
//!
//! It is a plain `<details>`, which opens and closes without JavaScript. A live page adds what a menu is expected to do: it comes
//! into view whole, and closes by Escape, by a press elsewhere, and when the focus goes elsewhere.

use super::{
    api::{OpenDirectRoom, open_direct_room},
    room_list::CallButtons,
};
use crate::{
    model::{UserId, user::Person},
    ui::{
        form::{FormFailure, FormSubmission},
        icon::{Glyph, Icon},
    },
};
use leptos::{ev, html, prelude::*};
use server_fn::ServerFn;
use wasm_bindgen::JsCast;
use web_sys::{
    EventTarget, HtmlDetailsElement, HtmlElement, Node, ScrollIntoViewOptions,
    ScrollLogicalPosition,
};

/// Who somebody is and how to reach them: opens from their name.
#[component]
pub fn PersonMenu(
    /// Who.
    person: Person,
    /// Who is looking.
    me: UserId,
) -> impl IntoView {
    let name = person.name.to_string();
    if person.id == me {
        return view! { <span class="message-author" dir="auto">{name}</span> }.into_any();
    }
    let id = person.id.to_string();
    let menu = Menu::new();
    let posting = FormSubmission::new();
    let write = move |OpenDirectRoom { with }| async move {
        let opened = open_direct_room(with).await;
        if opened.is_ok() {
            // The room may be the one that is open already.
            menu.close();
        } else {
            // Why not will stand in the menu.
            request_animation_frame(move || menu.scroll_into_view());
        }
        opened
    };
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
                <form
                    method="post"
                    action=OpenDirectRoom::url()
                    on:submit=move |event| posting.submit(&event, write)
                >
                    <input type="hidden" name="with" value=id />
                    <button type="submit" class="button small">
                        <Icon name=Glyph::Chat />
                        "Write"
                    </button>
                </form>
                <CallButtons person />
                <FormFailure path=OpenDirectRoom::PATH submission=posting />
            </div>
        </details>
    }
    .into_any()
}

/// What a live page adds to the menu. A handle: copy it freely.
#[derive(Debug, Clone, Copy)]
struct Menu {
    details: NodeRef<html::Details>,
    /// Listens for presses elsewhere, while the menu is open.
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

    /// It was opened or closed, by whatever.
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
        self.outside_press_listener.set_value(Some(listener));
    }

    /// The element, while it is open.
    fn open_details(self) -> Option<HtmlDetailsElement> {
        self.details
            .get_untracked()
            .filter(HtmlDetailsElement::open)
    }

    /// The timeline cuts off what is below its end.
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
        let open = self
            .details
            .get_untracked()
            .filter(HtmlDetailsElement::open);
        let Some(details) = open.filter(|_| event.key() == "Escape") else {
            return;
        };
        event.prevent_default();
        self.close();
        let summary = details
            .first_element_child()
            .and_then(|summary| summary.dyn_into::<HtmlElement>().ok());
        if let Some(summary) = summary {
            // What can be pressed can have the focus.
            let _ = summary.focus();
        }
    }

    /// The focus leaves something in the menu. Where it goes nowhere, the window lost it or a press did, which is heard anyway.
    fn on_focusout(self, event: &ev::FocusEvent) {
        let to = event.related_target();
        if to.is_some() && !self.contains(to) {
            self.close();
        }
    }

    fn close(self) {
        if let Some(details) = self.details.get_untracked() {
            details.set_open(false);
        }
    }

    fn contains(self, target: Option<EventTarget>) -> bool {
        let node = target.and_then(|target| target.dyn_into::<Node>().ok());
        self.details
            .get_untracked()
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
