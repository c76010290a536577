//! A call that waits during another: a small, silent card that does not take the focus.

use crate::{
    calls::client::use_calls,
    ui::{
        avatar::Avatar,
        icon::{Glyph, Icon},
    },
};
use leptos::prelude::*;

/// A waiting call: decline it, or leave the current call for it.
#[component]
pub fn WaitingCard() -> impl IntoView {
    let calls = use_calls();
    let waiting = Memo::new(move |_| {
        let view = calls.waiting_call().get()?;
        Some((view.id, view.caller, view.media))
    });
    let text = move || {
        let caller = waiting.get().map(|(_, caller, _)| caller.name);
        caller.map(|name| format!("{name} is calling"))
    };
    view! {
        <div class="visually-hidden" role="status">
            {text}
        </div>
        {move || {
            waiting
                .get()
                .map(|(_, caller, media)| {
                    let name = caller.name.to_string();
                    let label = format!("{name} is calling");
                    let kind = media.label();
                    view! {
                        <section class="call-waiting" aria-label=label>
                            <Avatar person=caller />
                            <div class="call-waiting-text">
                                <p class="call-waiting-name" dir="auto">
                                    {name}
                                </p>
                                <p class="small-text quiet-text">{kind} ", while you are in a call"</p>
                            </div>
                            <Show when=move || calls.can_connect()>
                                <button
                                    type="button"
                                    class="button small primary"
                                    on:click=move |_| calls.switch_to_waiting_call()
                                >
                                    <Icon name=Glyph::Phone />
                                    "End and answer"
                                </button>
                            </Show>
                            <button type="button" class="button small" on:click=move |_| calls.decline_waiting_call()>
                                "Decline"
                            </button>
                        </section>
                    }
                })
        }}
    }
}
