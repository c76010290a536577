//! The call itself: the other one's picture and sound, oneself, and what one can do.

use super::{
    client::{board::Scene, devices::Power, others::ONLY, use_calls},
    controls::{CameraButton, DeviceProblems, MicrophoneButton, SelfView, ShareButton},
    device_choice::{DeviceChoice, FreshDevice},
    dock::Large,
    files::{FileList, SendFileButton},
    head::{PanelButton, ResizeButton},
    pictures::{PictureButtons, TheirPicture, TheirScreen, TheirSound, is_lost, name_of},
    quality::{QualityBars, QualityDetails},
    words::{clock_text, state_text},
};
use crate::{
    model::{Millis, user::Person},
    ui::{
        browser,
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
    },
};
use leptos::{html, prelude::*};
use std::time::Duration;

/// A call from the start or the answer to the end. The same elements all the way, so that picture and sound go on through every
/// change around them.
#[component]
pub fn Stage() -> impl IntoView {
    let calls = use_calls();
    let Large(large) = expect_context();
    let details = RwSignal::new(false);
    let with = Memo::new(move |_| calls.scene().with(with_whom));
    let devices = RwSignal::new(false);
    let pictures = NodeRef::<html::Div>::new();
    let name = Signal::derive(move || name_of(with));
    let label = move || format!("Call with {}", name.get());
    view! {
        <section class="call-card call-stage" class:is-small=move || !large.get() aria-label=label tabindex="-1">
            <header class="call-head">
                <div class="call-who">
                    <h2 dir="auto">{name}</h2>
                    <CallState />
                </div>
                <QualityBars open=details />
                <PanelButton label="Devices" glyph=Glyph::Settings open=devices />
                <ResizeButton />
            </header>
            <QualityDetails open=details />
            <Show when=move || devices.get()>
                <DeviceChoice />
            </Show>
            <div class="call-pictures" node_ref=pictures>
                <TheirScreen name seat=ONLY />
                <TheirPicture with name seat=ONLY />
                <SelfView />
                <PictureButtons pictures />
            </div>
            <TheirSound seat=ONLY />
            <DeviceProblems />
            <FreshDevice />
            <Sharing />
            <Trouble />
            <FileList />
            <div class="call-controls">
                <MicrophoneButton />
                <CameraButton />
                <ShareButton />
                <SendFileButton />
                <button type="button" class="call-button hang-up" aria-keyshortcuts="H" on:click=move |_| calls.leave()>
                    <Icon name=Glyph::PhoneDown />
                    <span>"Hang up"</span>
                </button>
            </div>
        </section>
    }
}

/// Where the call stands, in words, and how long it has lasted.
#[component]
fn CallState() -> impl IntoView {
    let calls = use_calls();
    let scene = calls.scene();
    let text = Memo::new(move |_| {
        scene.with(|scene| state_text(scene, calls.path().get(), calls.is_online()))
    });
    let since = Memo::new(move |_| scene.with(since));
    let now = RwSignal::new(0);
    Effect::new(move || {
        if since.get().is_none() {
            return;
        }
        now.set(browser::now());
        let tick = move || now.set(browser::now());
        // A window always has timers; without one the time would stand still, and nothing else.
        if let Ok(ticking) = set_interval_with_handle(tick, Duration::from_secs(1)) {
            on_cleanup(move || ticking.clear());
        }
    });
    view! {
        <p class="call-state" class:is-lost=move || is_lost(&calls)>
            <span>{text}</span>
            {move || {
                since
                    .get()
                    .map(|since| view! { <span class="call-time">{move || clock_text(now.get() - since)}</span> })
            }}
        </p>
    }
}

/// Whoever shares a screen is told so for as long as they do.
#[component]
pub fn Sharing() -> impl IntoView {
    let devices = use_calls().devices();
    view! {
        <Show when=move || devices.screen().get() == Power::On>
            <p class="call-sharing" role="status">
                <Icon name=Glyph::Screen />
                "You are sharing your screen."
            </p>
        </Show>
    }
}

/// What went wrong, and what is being done about it.
#[component]
pub fn Trouble() -> impl IntoView {
    let calls = use_calls();
    let trouble = calls.trouble();
    let lost = move || {
        is_lost(&calls).then(|| {
            let text = "The connection was lost. Another path is being looked for; you need not do anything.";
            view! { <Notice kind=NoticeKind::Warn>{text}</Notice> }
        })
    };
    view! {
        {move || trouble.get().map(|why| view! { <Notice kind=NoticeKind::Error>{why}</Notice> })}
        {lost}
    }
}

/// Since when the call goes on, by this machine's clock.
fn since(scene: &Scene) -> Option<Millis> {
    scene.held().and_then(|held| held.since)
}

fn with_whom(scene: &Scene) -> Option<Person> {
    match scene {
        Scene::Starting { with, .. } => Some(with.clone()),
        Scene::Answering(view) => Some(view.peer().clone()),
        _ => scene.held().map(|held| held.view.peer().clone()),
    }
}
