//! Keys in a call: M microphone, V camera, D share a screen, H hang up, Space to talk while muted.
//!
//! They are for who looks at the call, and never for who writes or presses something: a key belongs to what has the focus first. Each can
//! be done with a button as well, and all of them can be turned off in Settings.

use super::client::{CallsClient, board::Scene, devices::Devices};
use crate::ui::browser;
use leptos::{ev::KeyboardEvent, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Element;

/// Where the browser keeps that somebody wants no keys.
const KEPT: &str = "rialto_call_keys";
const OFF: &str = "off";

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Microphone,
    Camera,
    Share,
    HangUp,
    Talk,
}

/// What a key means, by what is written on it.
fn meaning(key: &str) -> Option<Key> {
    match key {
        "m" | "M" => Some(Key::Microphone),
        "v" | "V" => Some(Key::Camera),
        "d" | "D" => Some(Key::Share),
        "h" | "H" => Some(Key::HangUp),
        " " => Some(Key::Talk),
        _ => None,
    }
}

/// What has the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
    /// Nothing that does anything with a key.
    Nothing,
    /// Something to press: the space bar presses it.
    Control,
    /// Something to write into or choose from: every key is for it.
    Field,
}

/// Whether a key is for the call.
fn is_for_call(key: Key, focus: Focus) -> bool {
    match focus {
        Focus::Nothing => true,
        Focus::Control => key != Key::Talk,
        Focus::Field => false,
    }
}

fn focus(target: Option<Element>) -> Focus {
    let Some(element) = target else {
        return Focus::Nothing;
    };
    let is = |selector: &str| element.closest(selector).ok().flatten().is_some();
    if is("input, textarea, select, [contenteditable]:not([contenteditable=false])") {
        Focus::Field
    } else if is(
        "a[href], button, summary, video[controls], audio[controls], [role=button], [role=menuitem]",
    ) {
        Focus::Control
    } else {
        Focus::Nothing
    }
}

/// Whether keys do something here. Browser only.
#[must_use]
pub fn are_on() -> bool {
    browser::local_get(KEPT).as_deref() != Some(OFF)
}

/// Turns them on or off, in this browser. Browser only.
pub fn turn(on: bool) {
    browser::local_set(KEPT, if on { "on" } else { OFF });
}

/// Listens to keys for as long as the page lives. Browser only, once.
pub(super) fn listen(calls: &CallsClient) {
    let calls = *calls;
    let held = RwSignal::new(false);
    window_event_listener(leptos::ev::keydown, move |event| {
        let Some(key) = asked(&event) else { return };
        let in_call = calls.scene().with_untracked(Scene::is_in_a_call);
        let looking = calls
            .scene()
            .with_untracked(|scene| scene.preview().is_some());
        let devices = calls.devices();
        match key {
            Key::Microphone if in_call || looking => devices.toggle_microphone(),
            Key::Camera if in_call || looking => devices.toggle_camera(),
            Key::Share if in_call && Devices::can_share() => devices.toggle_screen(),
            Key::HangUp if in_call => calls.leave(),
            Key::Talk if in_call && devices.is_muted() => {
                held.set(true);
                devices.toggle_microphone();
            }
            // The key is down still.
            Key::Talk if held.get_untracked() => {}
            Key::Microphone | Key::Camera | Key::Share | Key::HangUp | Key::Talk => return,
        }
        event.prevent_default();
    });
    let release = move || {
        if held.get_untracked() {
            held.set(false);
            if !calls.devices().is_muted() && calls.scene().with_untracked(Scene::is_in_a_call) {
                calls.devices().toggle_microphone();
            }
        }
    };
    window_event_listener(leptos::ev::keyup, move |event| {
        if event.key() == " " {
            release();
        }
    });
    // A key that is let go of over another window is never heard of.
    window_event_listener(leptos::ev::blur, move |_| release());
}

/// The key that is meant for the call, if it is.
fn asked(event: &KeyboardEvent) -> Option<Key> {
    let key = meaning(&event.key())?;
    let with_others = event.ctrl_key() || event.alt_key() || event.meta_key();
    let repeats = event.repeat() && key != Key::Talk;
    if with_others || repeats || event.default_prevented() || event.is_composing() {
        return None;
    }
    let target = event
        .target()
        .and_then(|target| target.dyn_into::<Element>().ok());
    (is_for_call(key, focus(target)) && are_on()).then_some(key)
}

/// The choice, in Settings.
#[component]
pub fn KeysChoice() -> impl IntoView {
    let on = RwSignal::new(true);
    let live = RwSignal::new(false);
    Effect::new(move || {
        on.set(are_on());
        live.set(true);
    });
    let change = move |event| {
        let checked = event_target_checked(&event);
        turn(checked);
        on.set(checked);
    };
    view! {
        <section class="card stack" aria-labelledby="call-keys">
            <h2 id="call-keys">"Keys in a call"</h2>
            <p class="quiet-text">
                <kbd>"M"</kbd>
                " microphone, "
                <kbd>"V"</kbd>
                " camera, "
                <kbd>"D"</kbd>
                " share your screen, "
                <kbd>"H"</kbd>
                " hang up, "
                <kbd>"Space"</kbd>
                " held to talk while muted. They do nothing while you write."
            </p>
            <label class="choice">
                <input type="checkbox" prop:checked=on disabled=move || !live.get() on:change=change />
                <span>"Use these keys in this browser"</span>
            </label>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_what_has_the_focus_first() {
        for key in ["m", "V", "d", "h", " "] {
            let key = meaning(key).unwrap();
            assert!(is_for_call(key, Focus::Nothing));
            assert!(!is_for_call(key, Focus::Field), "who writes is not heard");
        }
        assert!(is_for_call(Key::Microphone, Focus::Control));
        assert!(
            !is_for_call(Key::Talk, Focus::Control),
            "it presses the button"
        );
        assert_eq!(meaning("x"), None);
    }
}
