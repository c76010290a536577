//! Microphone, camera, screen and self view, for the preview and the call.
//!
//! A toggle button's label names its action, so it has no `aria-pressed`. CSS shows one of its two icons: a new one
//! would be blank until its drawing loads.

use super::peer_media::release_on_cleanup;
use crate::{
    calls::client::{
        devices::{
            DeviceState, Devices,
            problem::{Browser, CaptureDevice, DeviceProblem},
        },
        use_calls,
    },
    ui::{
        browser,
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
    },
};
use leptos::{html, prelude::*};

const PERMISSION_HINT_DELAY_MILLIS: i32 = 1_500;

/// Mutes and unmutes; toggled means muted, or no microphone.
#[component]
pub fn MicrophoneButton() -> impl IntoView {
    let devices = use_calls().devices();
    let off = move || !devices.is_microphone_live();
    let label = move || match devices.device_state(CaptureDevice::Microphone).get() {
        DeviceState::Requesting => "Starting…",
        DeviceState::On if !off() => "Mute",
        DeviceState::On | DeviceState::Off => "Unmute",
    };
    view! {
        <button
            type="button"
            class="call-button"
            class:is-toggled=off
            aria-keyshortcuts="M"
            aria-busy=move || {
                (devices.device_state(CaptureDevice::Microphone).get() == DeviceState::Requesting).to_string()
            }
            on:click=move |_| devices.toggle_microphone()
        >
            <Icon name=Glyph::Mic />
            <Icon name=Glyph::MicOff />
            <span>{label}</span>
        </button>
    }
}

/// Turns the camera off and on; toggled means off.
#[component]
pub fn CameraButton() -> impl IntoView {
    let devices = use_calls().devices();
    let off = move || !devices.is_camera_on();
    let label = move || match devices.device_state(CaptureDevice::Camera).get() {
        DeviceState::Requesting => "Starting…",
        DeviceState::Off => "Start camera",
        DeviceState::On => "Stop camera",
    };
    view! {
        <button
            type="button"
            class="call-button call-camera"
            class:is-toggled=off
            aria-keyshortcuts="V"
            aria-busy=move || (devices.device_state(CaptureDevice::Camera).get() == DeviceState::Requesting).to_string()
            on:click=move |_| devices.toggle_camera()
        >
            <Icon name=Glyph::Camera />
            <Icon name=Glyph::CameraOff />
            <span>{label}</span>
        </button>
    }
}

/// Starts and stops screen sharing; hidden without browser support.
#[component]
pub fn ShareButton() -> impl IntoView {
    let devices = use_calls().devices();
    let shared = move || devices.screen().get() == DeviceState::On;
    let can = RwSignal::new(false);
    Effect::new(move || can.set(Devices::can_share_screen()));
    let label = move || match devices.screen().get() {
        DeviceState::Requesting => "Starting…",
        DeviceState::Off => "Share screen",
        DeviceState::On => "Stop sharing",
    };
    view! {
        <Show when=move || can.get()>
            <button
                type="button"
                class="call-button call-share"
                class:is-toggled=shared
                aria-keyshortcuts="D"
                aria-busy=move || (devices.screen().get() == DeviceState::Requesting).to_string()
                on:click=move |_| devices.toggle_screen()
            >
                <Icon name=Glyph::ScreenOff />
                <Icon name=Glyph::Screen />
                <span>{label}</span>
            </button>
        </Show>
    }
}

/// Device problems and hints.
#[component]
pub fn DeviceProblems() -> impl IntoView {
    let calls = use_calls();
    let devices = calls.devices();
    let browser = RwSignal::new(Browser::Other);
    Effect::new(move || browser.set(Browser::from_user_agent(&browser::user_agent())));
    let permission_hint = permission_hint(devices);
    let hint = Memo::new(move |_| {
        if calls.is_video_paused().get() && devices.is_camera_on() {
            Some("Your video is paused to protect the sound, because the connection is slow.")
        } else if devices.is_talking_while_muted() {
            Some("You are talking while muted.")
        } else if devices.is_microphone_silent() {
            Some(
                "Nobody can hear you: your microphone is silent. Check that it is turned on, or choose another one.",
            )
        } else {
            None
        }
    });
    let notice = move |device: CaptureDevice| {
        move || {
            devices.problem(device).get().map(|problem: DeviceProblem| {
                let text = problem.text(device, browser.get());
                view! { <Notice kind=NoticeKind::Warn>{text}</Notice> }
            })
        }
    };
    view! {
        <div class="call-problems" role="status">
            {move || permission_hint.get().map(|hint| view! { <Notice kind=NoticeKind::Info>{hint}</Notice> })}
            {move || hint.get().map(|hint| view! { <Notice kind=NoticeKind::Warn>{hint}</Notice> })}
            {move || devices.notice().get().map(|note| view! { <Notice kind=NoticeKind::Info>{note}</Notice> })}
            {notice(CaptureDevice::Microphone)}
            {notice(CaptureDevice::Camera)}
        </div>
    }
}

/// The browser's permission prompt is easily overlooked.
fn permission_hint(devices: Devices) -> Memo<Option<&'static str>> {
    let late = RwSignal::new(false);
    let asking = Memo::new(move |_| {
        [CaptureDevice::Microphone, CaptureDevice::Camera]
            .map(|device| devices.device_state(device).get() == DeviceState::Requesting)
    });
    Effect::new(move || {
        late.set(false);
        if asking.get().contains(&true) {
            browser::run_after(PERMISSION_HINT_DELAY_MILLIS, move || {
                if asking
                    .try_get_untracked()
                    .is_some_and(|asking| asking.contains(&true))
                {
                    late.set(true);
                }
            });
        }
    });
    Memo::new(move |_| {
        let name = match asking.get() {
            _ if !late.get() => return None,
            [true, true] => {
                "Your browser is asking for permission to use the microphone and camera. Choose “Allow”."
            }
            [true, false] => {
                "Your browser is asking for permission to use the microphone. Choose “Allow”."
            }
            [false, true] => {
                "Your browser is asking for permission to use the camera. Choose “Allow”."
            }
            [false, false] => return None,
        };
        Some(name)
    })
}

/// The microphone's level.
#[component]
pub fn LevelMeter() -> impl IntoView {
    let devices = use_calls().devices();
    view! {
        <meter
            class="call-level"
            min="0"
            max="100"
            prop:value=devices.microphone_level()
            aria-label="Microphone level"
        ></meter>
    }
}

/// The camera's video, mirrored.
#[component]
pub fn SelfView() -> impl IntoView {
    let devices = use_calls().devices();
    let video = NodeRef::<html::Video>::new();
    Effect::new(move || {
        devices.tracks_version().track();
        let seen = devices.is_camera_on();
        if let Some(video) = video.get() {
            video.set_src_object(devices.camera_stream().filter(|_| seen).as_ref());
        }
    });
    release_on_cleanup(video);
    view! {
        <div class="call-self" class:is-off=move || !devices.is_camera_on()>
            <video node_ref=video autoplay playsinline prop:muted=true aria-label="Your camera"></video>
            <p class="call-self-off">
                {move || match devices.device_state(CaptureDevice::Camera).get() {
                    DeviceState::Requesting => "Starting the camera…",
                    DeviceState::Off | DeviceState::On => "Your camera is off",
                }}
            </p>
        </div>
    }
}
