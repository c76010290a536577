//! Keyboard shortcuts in a call: M microphone, V camera, D share screen, H hang up, Space push-to-talk while muted.
//!
//! The focused element has precedence: text fields take every key, and Space presses a focused control. Every
//! shortcut has a button too, and Settings can turn all off.

use crate::{
    calls::client::{CallsClient, devices::Devices, state::ClientCallState},
    ui::browser,
};
use leptos::{ev::KeyboardEvent, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Element;

const STORAGE_KEY: &str = "rialto_call_keys";
const DISABLED_VALUE: &str = "off";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shortcut {
    Microphone,
    Camera,
    ShareScreen,
    HangUp,
    PushToTalk,
}

fn shortcut_for_key(key: &str) -> Option<Shortcut> {
    match key {
        "m" | "M" => Some(Shortcut::Microphone),
        "v" | "V" => Some(Shortcut::Camera),
        "d" | "D" => Some(Shortcut::ShareScreen),
        "h" | "H" => Some(Shortcut::HangUp),
        " " => Some(Shortcut::PushToTalk),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FocusKind {
    Nothing,
    /// Space presses it.
    Control,
    Field,
}

fn is_allowed(shortcut: Shortcut, focus: FocusKind) -> bool {
    match focus {
        FocusKind::Nothing => true,
        FocusKind::Control => shortcut != Shortcut::PushToTalk,
        FocusKind::Field => false,
    }
}

fn focus_kind(target: Option<Element>) -> FocusKind {
    let Some(element) = target else {
        return FocusKind::Nothing;
    };
    let is = |selector: &str| element.closest(selector).ok().flatten().is_some();
    if is("input, textarea, select, [contenteditable]:not([contenteditable=false])") {
        FocusKind::Field
    } else if is(
        "a[href], button, summary, video[controls], audio[controls], [role=button], [role=menuitem]",
    ) {
        FocusKind::Control
    } else {
        FocusKind::Nothing
    }
}

/// Whether shortcuts are enabled. Browser only.
#[must_use]
pub fn is_enabled() -> bool {
    browser::local_storage_get(STORAGE_KEY).as_deref() != Some(DISABLED_VALUE)
}

/// Enables or disables shortcuts. Browser only.
pub fn set_enabled(on: bool) {
    browser::local_storage_set(STORAGE_KEY, if on { "on" } else { DISABLED_VALUE });
}

/// Registers the key listeners. Browser only, once.
pub fn listen_for_shortcuts(calls: CallsClient) {
    let is_key_held = RwSignal::new(false);
    window_event_listener(leptos::ev::keydown, move |event| {
        let Some(shortcut) = shortcut_for_event(&event) else {
            return;
        };
        let in_call = calls.state().with_untracked(ClientCallState::is_in_call);
        let is_in_preview = calls
            .state()
            .with_untracked(|call_state| call_state.preview().is_some());
        let devices = calls.devices();
        match shortcut {
            Shortcut::Microphone if in_call || is_in_preview => devices.toggle_microphone(),
            Shortcut::Camera if in_call || is_in_preview => devices.toggle_camera(),
            Shortcut::ShareScreen if in_call && Devices::can_share_screen() => {
                devices.toggle_screen();
            }
            Shortcut::HangUp if in_call => calls.leave(),
            Shortcut::PushToTalk if in_call && devices.is_muted() => {
                is_key_held.set(true);
                devices.toggle_microphone();
            }
            Shortcut::PushToTalk if is_key_held.get_untracked() => {}
            Shortcut::Microphone
            | Shortcut::Camera
            | Shortcut::ShareScreen
            | Shortcut::HangUp
            | Shortcut::PushToTalk => return,
        }
        event.prevent_default();
    });
    let release = move || {
        if is_key_held.get_untracked() {
            is_key_held.set(false);
            if !calls.devices().is_muted()
                && calls.state().with_untracked(ClientCallState::is_in_call)
            {
                calls.devices().toggle_microphone();
            }
        }
    };
    window_event_listener(leptos::ev::keyup, move |event| {
        if event.key() == " " {
            release();
        }
    });
    // Without focus, no `keyup` event arrives.
    window_event_listener(leptos::ev::blur, move |_| release());
}

fn shortcut_for_event(event: &KeyboardEvent) -> Option<Shortcut> {
    let key = shortcut_for_key(&event.key())?;
    let with_others = event.ctrl_key() || event.alt_key() || event.meta_key();
    let repeats = event.repeat() && key != Shortcut::PushToTalk;
    if with_others || repeats || event.default_prevented() || event.is_composing() {
        return None;
    }
    let target = event
        .target()
        .and_then(|target| target.dyn_into::<Element>().ok());
    (is_allowed(key, focus_kind(target)) && is_enabled()).then_some(key)
}

/// The setting for shortcuts.
#[component]
pub fn ShortcutSettings() -> impl IntoView {
    let on = RwSignal::new(true);
    let is_hydrated = RwSignal::new(false);
    Effect::new(move || {
        on.set(is_enabled());
        is_hydrated.set(true);
    });
    let change = move |event| {
        let checked = event_target_checked(&event);
        set_enabled(checked);
        on.set(checked);
    };
    view! {
        <section class="card stack" aria-labelledby="call-keys">
            <h2 id="call-keys">"Keyboard shortcuts in calls"</h2>
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
                " held to talk while muted. They do not apply while you are typing."
            </p>
            <label class="choice">
                <input type="checkbox" prop:checked=on disabled=move || !is_hydrated.get() on:change=change />
                <span>"Use shortcuts in this browser"</span>
            </label>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_the_focused_element_first() {
        for key in ["m", "V", "d", "h", " "] {
            let key = shortcut_for_key(key).unwrap();
            assert!(is_allowed(key, FocusKind::Nothing));
            assert!(
                !is_allowed(key, FocusKind::Field),
                "who writes is not heard"
            );
        }
        assert!(is_allowed(Shortcut::Microphone, FocusKind::Control));
        assert!(
            !is_allowed(Shortcut::PushToTalk, FocusKind::Control),
            "it presses the button"
        );
        assert_eq!(shortcut_for_key("x"), None);
    }
}
