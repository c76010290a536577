//! An incoming call, and three ways to answer.

use crate::{
    calls::client::{
        state::{ClientCallState, machine::NO_WEBRTC_REASON},
        use_calls,
    },
    model::{call::Media, user::Person},
    ui::{
        avatar::{Avatar, AvatarSize},
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
        role_mark::RoleMark,
    },
};
use leptos::prelude::*;
use std::time::Duration;

const MISCLICK_GUARD_DELAY: Duration = Duration::from_millis(600);

/// A ringing call. Escape does not decline: it is pressed too easily.
#[component]
pub fn IncomingCard(
    /// Disables the buttons for a moment, so that a misclick neither accepts nor declines.
    replaces_preview: bool,
) -> impl IntoView {
    let calls = use_calls();
    let call_state = calls.state();
    let ringing = |call_state: &ClientCallState| {
        let view = call_state.ringing_call()?;
        Some((view.caller.clone(), view.media))
    };
    let caller = Memo::new(move |_| call_state.with(ringing));
    let is_video = move || caller.with(|it| matches!(it, Some((_, Media::Video))));
    let error_message = calls.error_message();
    let can_connect = calls.can_connect();
    let ready = RwSignal::new(!replaces_preview);
    Effect::new(move || {
        if replaces_preview {
            let then = move || {
                let _ = ready.try_set(true);
            };
            set_timeout(then, MISCLICK_GUARD_DELAY);
        }
    });
    view! {
        <section
            class="call-card call-incoming"
            role="alertdialog"
            aria-labelledby="call-title"
            aria-describedby="call-kind"
            tabindex="-1"
        >
            {move || caller.get().map(|(person, media)| view! { <Caller person media /> })}
            {move || error_message.get().map(|message| view! { <Notice kind=NoticeKind::Error>{message}</Notice> })}
            {(!can_connect).then(|| view! { <Notice kind=NoticeKind::Error>{NO_WEBRTC_REASON}</Notice> })}
            <div class="call-answers">
                <Show when=move || can_connect>
                    <button
                        type="button"
                        class="button primary"
                        disabled=move || !ready.get()
                        on:click=move |_| calls.accept(untrack(is_video))
                    >
                        <Icon name=Glyph::Phone />
                        "Accept"
                    </button>
                </Show>
                <Show when=move || can_connect && is_video()>
                    <button
                        type="button"
                        class="button"
                        disabled=move || !ready.get()
                        on:click=move |_| calls.accept(false)
                    >
                        <Icon name=Glyph::CameraOff />
                        "Accept without camera"
                    </button>
                </Show>
                <button
                    type="button"
                    class="button danger"
                    disabled=move || !ready.get()
                    on:click=move |_| calls.leave()
                >
                    <Icon name=Glyph::PhoneDown />
                    "Decline"
                </button>
            </div>
        </section>
    }
}

#[component]
fn Caller(person: Person, media: Media) -> impl IntoView {
    let kind = media.label();
    let (name, role) = (person.name.to_string(), person.role);
    view! {
        <div class="call-caller">
            <Avatar person size=AvatarSize::Large />
            <div>
                <h2 id="call-title">{name} " is calling"</h2>
                <p id="call-kind" class="quiet-text">
                    {kind}
                    " "
                    <RoleMark role />
                </p>
            </div>
        </div>
    }
}
