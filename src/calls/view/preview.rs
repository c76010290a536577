//! The preview before a call.

use super::{
    controls::{CameraButton, DeviceProblems, LevelMeter, MicrophoneButton, SelfView},
    device_picker::{DevicePicker, NewDeviceNotice},
};
use crate::{
    calls::client::{
        state::{CallTarget, Preview},
        use_calls,
    },
    model::call::Media,
    ui::{
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
    },
};
use leptos::{ev::KeyboardEvent, prelude::*};

/// Preview before a call.
#[component]
pub fn PreviewCard() -> impl IntoView {
    let calls = use_calls();
    let call_state = calls.state();
    let of = move |get: fn(&Preview) -> String| {
        move || call_state.with(|call_state| call_state.preview().map(get).unwrap_or_default())
    };
    let title = of(|preview| match &preview.target {
        CallTarget::Person(with) => format!("Call {}", with.name),
        CallTarget::Room(room) => format!("Call in {}", room.title),
    });
    let start = of(|preview| {
        let text = match (&preview.target, preview.media) {
            (CallTarget::Room(_), _) => "Join the call",
            (CallTarget::Person(_), Media::Voice) => "Start voice call",
            (CallTarget::Person(_), Media::Video) => "Start video call",
        };
        text.to_owned()
    });
    let closes = move |event: KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            calls.leave();
        }
    };
    let refused = of(|preview| preview.refusal.clone().unwrap_or_default());
    view! {
        <section
            class="call-card call-preview"
            role="dialog"
            aria-labelledby="call-title"
            tabindex="-1"
            on:keydown=closes
        >
            <h2 id="call-title">{title}</h2>
            <Show when=move || calls.can_connect()>
                <SelfView />
                <LevelMeter />
                <DeviceProblems />
                <NewDeviceNotice />
            </Show>
            {move || {
                Some(refused())
                    .filter(|reason| !reason.is_empty())
                    .map(|reason| view! { <Notice kind=NoticeKind::Error>{reason}</Notice> })
            }}
            <Show when=move || calls.can_connect()>
                <div class="call-controls">
                    <MicrophoneButton />
                    <CameraButton />
                </div>
                <DevicePicker />
            </Show>
            <div class="call-answers">
                <Show when=move || calls.can_connect()>
                    <button type="button" class="button primary" on:click=move |_| calls.start_call()>
                        <Icon name=Glyph::Phone />
                        {start}
                    </button>
                </Show>
                <button type="button" class="button" on:click=move |_| calls.leave()>
                    "Cancel"
                </button>
            </div>
        </section>
    }
}
