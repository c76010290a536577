//! Somebody calls while one is in another call: a small card that makes no sound and takes the focus from nothing.

use super::client::use_calls;
use crate::ui::{
    avatar::Avatar,
    icon::{Glyph, Icon},
};
use leptos::prelude::*;

/// A call that waits: decline, or leave the present one for it.
#[component]
pub fn WaitingCard() -> impl IntoView {
    let calls = use_calls();
    let waiting = calls.waiting();
    let text = move || {
        waiting
            .with(|view| {
                view.as_ref()
                    .map(|view| format!("{} is calling", view.caller.name))
            })
            .unwrap_or_default()
    };
    view! {
        <div class="visually-hidden" role="status">
            {text}
        </div>
        {move || {
            waiting
                .get()
                .map(|view| {
                    let name = view.caller.name.to_string();
                    let label = format!("{name} is calling");
                    let kind = view.media.noun();
                    view! {
                        <section class="call-waiting" aria-label=label>
                            <Avatar person=view.caller />
                            <div class="call-waiting-text">
                                <p class="call-waiting-name" dir="auto">{name}</p>
                                <p class="small-text quiet-text">{kind} ", while you are in a call"</p>
                            </div>
                            <button type="button" class="button small primary" on:click=move |_| calls.switch()>
                                <Icon name=Glyph::Phone />
                                "End and answer"
                            </button>
                            <button type="button" class="button small" on:click=move |_| calls.decline_waiting()>
                                "Decline"
                            </button>
                        </section>
                    }
                })
        }}
    }
}
