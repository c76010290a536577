//! Before calling: a look at oneself, and what stands in the way of being seen and heard.

use super::{
    client::{board::Scene, use_calls},
    controls::{CameraButton, DeviceProblems, LevelMeter, MicrophoneButton, SelfView},
};
use crate::{
    model::call::Media,
    ui::{
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
    },
};
use leptos::{ev::KeyboardEvent, prelude::*};

/// Shows oneself before calling somebody.
#[component]
pub fn PreviewCard() -> impl IntoView {
    let calls = use_calls();
    let scene = calls.scene();
    let of = move |get: fn(&super::client::board::Preview) -> String| {
        move || {
            scene.with(|scene| match scene {
                Scene::Preview(preview) => get(preview),
                Scene::Quiet
                | Scene::Starting { .. }
                | Scene::Ringing(_)
                | Scene::Answering(_)
                | Scene::Holding(_)
                | Scene::Ended(_) => String::new(),
            })
        }
    };
    let title = of(|preview| format!("Call {}", preview.with.name));
    let start = of(|preview| match preview.media {
        Media::Voice => "Start voice call".to_owned(),
        Media::Video => "Start video call".to_owned(),
    });
    let closes = move |event: KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            calls.leave();
        }
    };
    let refused = of(|preview| preview.refused.clone().unwrap_or_default());
    view! {
        <section
            class="call-card call-preview"
            role="dialog"
            aria-labelledby="call-title"
            tabindex="-1"
            on:keydown=closes
        >
            <h2 id="call-title">{title}</h2>
            <SelfView />
            <LevelMeter />
            <DeviceProblems />
            {move || {
                Some(refused())
                    .filter(|reason| !reason.is_empty())
                    .map(|reason| view! { <Notice kind=NoticeKind::Error>{reason}</Notice> })
            }}
            <div class="call-controls">
                <MicrophoneButton />
                <CameraButton />
            </div>
            <div class="call-answers">
                <button type="button" class="button primary" on:click=move |_| calls.start()>
                    <Icon name=Glyph::Phone />
                    {start}
                </button>
                <button type="button" class="button" on:click=move |_| calls.leave()>
                    "Cancel"
                </button>
            </div>
        </section>
    }
}
