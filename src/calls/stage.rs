//! The call itself: the other one's picture and sound, oneself, and what one can do.

use super::{
    client::{CallsClient, Path, board::Scene, use_calls},
    controls::{CameraButton, DeviceProblems, MicrophoneButton, SelfView},
    dock::Large,
    quality::{QualityBars, QualityDetails},
    words::{clock_text, state_text},
};
use crate::{
    model::{Millis, call::State, user::Person},
    ui::{
        avatar::{Avatar, AvatarSize},
        browser,
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
    },
};
use leptos::{html, prelude::*};
use std::time::Duration;
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// A call from the start or the answer to the end. The same elements all the way, so that picture and sound go on through every
/// change around them.
#[component]
pub fn Stage() -> impl IntoView {
    let calls = use_calls();
    let Large(large) = expect_context();
    let details = RwSignal::new(false);
    let with = Memo::new(move |_| calls.scene().with(with_whom));
    let name = move || {
        with.with(|with| {
            with.as_ref()
                .map(|with| with.name.to_string())
                .unwrap_or_default()
        })
    };
    let label = move || format!("Call with {}", name());
    let resize = move || {
        if large.get() {
            "Make the call small"
        } else {
            "Make the call large"
        }
    };
    view! {
        <section class="call-card call-stage" class:is-small=move || !large.get() aria-label=label tabindex="-1">
            <header class="call-head">
                <div class="call-who">
                    <h2 dir="auto">{name}</h2>
                    <CallState />
                </div>
                <QualityBars open=details />
                <button
                    type="button"
                    class="icon-button call-resize"
                    aria-label=resize
                    on:click=move |_| large.update(|large| *large = !*large)
                >
                    <Icon name=Glyph::Shrink />
                    <Icon name=Glyph::Expand />
                </button>
            </header>
            <QualityDetails open=details />
            <div class="call-pictures">
                <TheirPicture with />
                <SelfView />
            </div>
            <TheirSound />
            <DeviceProblems />
            <Trouble />
            <div class="call-controls">
                <MicrophoneButton />
                <CameraButton />
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

/// The other one's picture; while there is none, who they are and why.
#[component]
fn TheirPicture(with: Memo<Option<Person>>) -> impl IntoView {
    let calls = use_calls();
    let theirs = calls.theirs();
    let video = NodeRef::<html::Video>::new();
    Effect::new(move || {
        calls.arrivals().track();
        if let Some(video) = video.get() {
            let picture = calls.their_picture();
            // Setting the same again would start it anew.
            if video.src_object() != picture {
                video.set_src_object(picture.as_ref());
            }
        }
    });
    let seen = move || theirs.get().is_some_and(|sends| sends.camera);
    let silent = move || theirs.get().is_some_and(|sends| !sends.microphone);
    let name = move || {
        with.with(|with| {
            with.as_ref()
                .map(|with| with.name.to_string())
                .unwrap_or_default()
        })
    };
    view! {
        <div class="call-theirs" class:is-off=move || !seen() class:is-frozen=move || is_lost(&calls)>
            <video
                node_ref=video
                class="call-their-video"
                autoplay
                playsinline
                prop:muted=true
                aria-label=move || format!("{}'s camera", name())
            ></video>
            <div class="call-their-face">
                {move || with.get().map(|person| view! { <Avatar person size=AvatarSize::Large /> })}
                {move || theirs.get().filter(|sends| !sends.camera).map(|_| view! { <p>"Camera off"</p> })}
            </div>
            {move || {
                silent()
                    .then(|| {
                        view! {
                            <p class="call-their-mute">
                                <Icon name=Glyph::MicOff />
                                {name()}
                                " is muted"
                            </p>
                        }
                    })
            }}
        </div>
    }
}

/// The other one's sound. A browser may want a press before it plays any.
#[component]
fn TheirSound() -> impl IntoView {
    let calls = use_calls();
    let audio = NodeRef::<html::Audio>::new();
    let blocked = RwSignal::new(false);
    let play = move || {
        let Some(playing) = audio.get_untracked().and_then(|audio| audio.play().ok()) else {
            return;
        };
        spawn_local(async move {
            let refused = JsFuture::from(playing).await.err();
            let name = refused
                .and_then(|why| js_sys::Reflect::get(&why, &"name".into()).ok()?.as_string());
            // Anything else means that the sound was replaced or taken away meanwhile. The call may be over by now.
            let _ = blocked.try_set(name.as_deref() == Some("NotAllowedError"));
        });
    };
    Effect::new(move || {
        calls.arrivals().track();
        if let Some(audio) = audio.get() {
            let sound = calls.their_sound();
            if audio.src_object() != sound {
                audio.set_src_object(sound.as_ref());
                play();
            }
        }
    });
    view! {
        <audio node_ref=audio autoplay></audio>
        <Show when=move || blocked.get()>
            <div class="call-blocked">
                <Notice kind=NoticeKind::Warn>
                    <p>"The browser keeps the sound back until you say so."</p>
                    <button type="button" class="button" on:click=move |_| play()>
                        "Play the sound"
                    </button>
                </Notice>
            </div>
        </Show>
    }
}

/// What went wrong, and what is being done about it.
#[component]
fn Trouble() -> impl IntoView {
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

fn is_lost(calls: &CallsClient) -> bool {
    let path = calls.path().get();
    calls.scene().with(|scene| match scene {
        Scene::Holding(held) => {
            held.view.state == State::Reconnecting
                || (held.view.state == State::Connected && path == Path::Lost)
        }
        Scene::Quiet
        | Scene::Preview(_)
        | Scene::Starting { .. }
        | Scene::Ringing(_)
        | Scene::Answering(_)
        | Scene::Ended(_) => false,
    })
}

fn since(scene: &Scene) -> Option<Millis> {
    match scene {
        Scene::Holding(held) => held.since,
        Scene::Quiet
        | Scene::Preview(_)
        | Scene::Starting { .. }
        | Scene::Ringing(_)
        | Scene::Answering(_)
        | Scene::Ended(_) => None,
    }
}

fn with_whom(scene: &Scene) -> Option<Person> {
    match scene {
        Scene::Starting { with, .. } => Some(with.clone()),
        Scene::Answering(view) => Some(view.peer().clone()),
        Scene::Holding(held) => Some(held.view.peer().clone()),
        Scene::Quiet | Scene::Preview(_) | Scene::Ringing(_) | Scene::Ended(_) => None,
    }
}
