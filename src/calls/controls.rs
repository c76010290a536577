//! Microphone, camera and self view: what the look at oneself and the call have in common.
//!
//! A button that is pressed or not has both its icons, and the style sheet shows one: an icon that is made anew is empty for as
//! long as its drawing loads.

use super::client::{
    devices::Power,
    problem::{Device, Problem},
    use_calls,
};
use crate::ui::{
    icon::{Glyph, Icon},
    notice::{Notice, NoticeKind},
};
use leptos::{html, prelude::*};

/// Mutes and unmutes. Pressed means muted, or no microphone at all; what it says fits how it is.
#[component]
pub fn MicrophoneButton() -> impl IntoView {
    let devices = use_calls().devices();
    let off = move || !devices.is_heard();
    let label = move || match devices.power(Device::Microphone).get() {
        Power::Asking => "Starting…",
        Power::Off => "No microphone",
        Power::On if off() => "Muted",
        Power::On => "Mute",
    };
    view! {
        <button
            type="button"
            class="call-button"
            aria-keyshortcuts="M"
            aria-pressed=move || off().to_string()
            aria-busy=move || (devices.power(Device::Microphone).get() == Power::Asking).to_string()
            on:click=move |_| devices.toggle_microphone()
        >
            <Icon name=Glyph::Mic />
            <Icon name=Glyph::MicOff />
            <span>{label}</span>
        </button>
    }
}

/// Turns the camera off and on. Pressed means off; what it says fits how it is.
#[component]
pub fn CameraButton() -> impl IntoView {
    let devices = use_calls().devices();
    let off = move || !devices.is_seen();
    let label = move || match devices.power(Device::Camera).get() {
        Power::Asking => "Starting…",
        Power::Off => "Camera off",
        Power::On => "Stop camera",
    };
    view! {
        <button
            type="button"
            class="call-button call-camera"
            aria-keyshortcuts="V"
            aria-pressed=move || off().to_string()
            aria-busy=move || (devices.power(Device::Camera).get() == Power::Asking).to_string()
            on:click=move |_| devices.toggle_camera()
        >
            <Icon name=Glyph::Camera />
            <Icon name=Glyph::CameraOff />
            <span>{label}</span>
        </button>
    }
}

/// What stands in the way of being heard and seen, in words.
#[component]
pub fn DeviceProblems() -> impl IntoView {
    let devices = use_calls().devices();
    let hint = Memo::new(move |_| {
        if devices.is_talking_muted() {
            Some("You are talking while muted.")
        } else if devices.is_silent() {
            Some(
                "Your microphone is silent: nothing is heard of you. Look whether it is turned on, or choose another one in the system.",
            )
        } else {
            None
        }
    });
    let notice = move |device: Device| {
        move || {
            devices
                .problem(device)
                .get()
                .map(|problem: Problem| view! { <Notice kind=NoticeKind::Warn>{problem.text(device)}</Notice> })
        }
    };
    view! {
        <div class="call-problems" role="status">
            {move || hint.get().map(|hint| view! { <Notice kind=NoticeKind::Warn>{hint}</Notice> })}
            {notice(Device::Microphone)}
            {notice(Device::Camera)}
        </div>
    }
}

/// How loud the microphone is: whoever sees it move need not ask whether they are heard.
#[component]
pub fn LevelMeter() -> impl IntoView {
    let devices = use_calls().devices();
    view! {
        <meter class="call-level" min="0" max="100" prop:value=devices.level() aria-label="How loud your microphone is"></meter>
    }
}

/// What the other one sees of oneself, as in a mirror.
#[component]
pub fn SelfView() -> impl IntoView {
    let devices = use_calls().devices();
    let video = NodeRef::<html::Video>::new();
    Effect::new(move || {
        let seen = devices.is_seen();
        if let Some(video) = video.get() {
            video.set_src_object(devices.picture().filter(|_| seen).as_ref());
        }
    });
    view! {
        <div class="call-self" class:is-off=move || !devices.is_seen()>
            <video node_ref=video autoplay playsinline prop:muted=true aria-label="What your camera shows"></video>
            <p class="call-self-off">
                {move || match devices.power(Device::Camera).get() {
                    Power::Asking => "Starting the camera…",
                    Power::Off | Power::On => "Your camera is off",
                }}
            </p>
        </div>
    }
}
